"""This process as a whole: its health, its start and end, its numbers, its choice of an upstream."""
