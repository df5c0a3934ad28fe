"""Plain HTTP: views, forms, middleware, and what every template gets."""
