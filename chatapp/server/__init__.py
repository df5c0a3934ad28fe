"""The server process: how it starts and listens, and Daphne with our own timeouts."""
