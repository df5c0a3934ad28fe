"""This process as a whole: its health, start, shutdown, numbers and upstream, and others beside it on one port."""
