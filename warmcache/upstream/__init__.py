"""Speaking to the provider: what goes over the wire, and how it is read."""
