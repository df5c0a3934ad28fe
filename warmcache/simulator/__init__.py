"""A faithful local Messages API with a prompt cache: a pure engine, with HTTP on top. Imports nothing itself."""
