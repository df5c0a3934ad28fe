"""Warm the Claude prompt cache before the message is sent. Imports nothing, so that `core` loads alone."""
