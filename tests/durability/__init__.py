"""Clients that write while servers, Redis, the database and the network fail, and what must hold afterwards."""
