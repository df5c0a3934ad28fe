"""Prompts: their parts, their blocks as bytes, and what is kept to build the next request."""
