"""Prompts: what they are made of, their blocks as bytes, and what is kept of them to build the next request."""
