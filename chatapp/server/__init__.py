"""The server process: start-up, listening socket, and Daphne with our own timeouts."""
