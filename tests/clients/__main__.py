"""Installs the clients for `make soak`, each under `var/clients/`: `python -m tests.clients`."""

from tests.clients.environments import install_all

install_all()
