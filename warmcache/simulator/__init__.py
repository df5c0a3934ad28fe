"""A faithful local Messages API with a prompt cache: pure engine, HTTP on top. Imports nothing itself."""
