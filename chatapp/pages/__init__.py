"""Plain HTTP: views, forms, middleware, and the template context."""
