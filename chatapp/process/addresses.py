"""Where a request comes from, and how many connections and sockets one address may have.

`X-Forwarded-For` counts only from TRUSTED_PROXIES: anybody can send one. It is read from its end, because each proxy
adds the address that it saw itself; the first one that is no trusted proxy is the client.
"""

from collections import Counter
from collections.abc import Awaitable, Callable
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

from django.conf import settings

from chatapp.quotas.common_places import of_address, places

Application = Callable[[dict[str, Any], Any, Any], Awaitable[None]]
HEADER = b"x-forwarded-for"
HOST_NETWORK = 64
"""Bits of a version 6 address that name the network of one customer, as providers give it out."""


@lru_cache(maxsize=16)
def _networks(trusted: tuple[str, ...]) -> tuple[IPv4Network | IPv6Network, ...]:
    return tuple(ip_network(each, strict=False) for each in trusted)


@lru_cache(maxsize=4096)
def _is_in(address: str, trusted: tuple[str, ...]) -> bool:
    try:
        found = ip_address(address)
    except ValueError:
        return False
    mapped = getattr(found, "ipv4_mapped", None)
    return any((mapped or found) in network for network in _networks(trusted))


def is_trusted_proxy(address: str) -> bool:
    """Whether it is one of TRUSTED_PROXIES."""
    return _is_in(address, tuple(settings.TRUSTED_PROXIES))


def client_address(peer: str, forwarded: str) -> str:
    """The address of the client. `peer`: who connected; `forwarded`: the `X-Forwarded-For` headers, joined."""
    address = peer
    for told in reversed(forwarded.split(",")):
        if not is_trusted_proxy(address):
            break
        try:
            address = str(ip_address(told.strip()))
        except ValueError:
            break
    return address


@lru_cache(maxsize=4096)
def counted_as(address: str) -> str:
    """What shares the bounds of an address. Of version 6 it is a network: anybody there has 2^64 addresses."""
    try:
        found = ip_address(address)
    except ValueError:
        return address
    if isinstance(found, IPv6Address):
        return str(found.ipv4_mapped or ip_network((found, HOST_NETWORK), strict=False))
    return address


class Connections:
    """How many connections each address has in this process, up to CONNECTIONS_PER_ADDRESS; a trusted proxy has any
    number. Until a request is read they cost what a process has of its own: memory and file descriptors."""

    def __init__(self) -> None:
        self._taken: Counter[str] = Counter()

    def admits(self, address: str) -> bool:
        """Takes a place; False if there is none."""
        if self.count(address) >= settings.CONNECTIONS_PER_ADDRESS and not is_trusted_proxy(address):
            return False
        self._taken[counted_as(address)] += 1
        return True

    def leave(self, address: str) -> None:
        """Gives a place back."""
        name = counted_as(address)
        self._taken[name] -= 1
        if self._taken[name] <= 0:
            del self._taken[name]

    def count(self, address: str) -> int:
        return self._taken.get(counted_as(address), 0)


connections = Connections()
"""Those of our own server, of whoever connects, until they become sockets."""


class FromClients:
    """The outermost ASGI application: puts the client's address into the scope, and refuses sockets (HTTP 403) of an
    address that has too many."""

    def __init__(self, application: Application) -> None:
        self._application = application

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] not in ("http", "websocket") or not scope.get("client"):
            await self._application(scope, receive, send)
            return
        peer, port = scope["client"]
        if is_trusted_proxy(peer):
            forwarded = ",".join(value.decode("latin-1") for name, value in scope["headers"] if name == HEADER)
            address = client_address(peer, forwarded)
            scope = {**scope, "client": [address, port if address == peer else 0]}
        if scope["type"] == "http":
            await self._application(scope, receive, send)
            return
        address = scope["client"][0]
        if is_trusted_proxy(address):
            await self._application(scope, receive, send)
            return
        name = of_address(counted_as(address))
        if not await places.admits(name, settings.CONNECTIONS_PER_ADDRESS):
            await send({"type": "websocket.close"})
            return
        try:
            await self._application(scope, receive, send)
        finally:
            places.leave(name)
