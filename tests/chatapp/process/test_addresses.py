"""Where a request comes from, and how many connections an address may have."""

from typing import Any

import pytest

from chatapp.process.addresses import Connections, FromClients, client_address, counted_as
from chatapp.quotas.common_places import of_address, places

PROXIES = ["10.0.0.0/8", "192.0.2.1", "fd00::/8"]


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("203.0.113.9", "198.51.100.7", "203.0.113.9"),
        ("10.0.0.7", "198.51.100.7", "198.51.100.7"),
        ("10.0.0.7", "198.51.100.7, 10.1.1.1", "198.51.100.7"),
        ("10.0.0.7", "127.0.0.1, 198.51.100.7", "198.51.100.7"),
        ("10.0.0.7", "198.51.100.7, 203.0.113.9, 192.0.2.1", "203.0.113.9"),
        ("10.0.0.7", "", "10.0.0.7"),
        ("10.0.0.7", "nonsense", "10.0.0.7"),
        ("10.0.0.7", "198.51.100.7, nonsense", "10.0.0.7"),
        ("::ffff:10.0.0.7", "2001:db8::1", "2001:db8::1"),
        ("fd00::1", "2001:DB8::1", "2001:db8::1"),
        ("", "198.51.100.7", ""),
    ],
    ids=[
        "from nobody we trust",
        "from a proxy",
        "through two proxies",
        "with what the client made up before it",
        "only back to the first that is no proxy",
        "without the header",
        "not an address",
        "not an address at the end",
        "a mapped address",
        "version 6",
        "from a file",
    ],
)
def test_the_header_counts_from_trusted_proxies_only(settings, peer: str, forwarded: str, client: str) -> None:
    settings.TRUSTED_PROXIES = PROXIES

    assert client_address(peer, forwarded) == client


def test_an_address_has_so_many_places_and_a_proxy_any_number(settings) -> None:
    settings.TRUSTED_PROXIES, settings.CONNECTIONS_PER_ADDRESS = PROXIES, 2
    connections = Connections()

    found = [connections.admits("203.0.113.9") for _ in range(3)]
    connections.leave("203.0.113.9")

    assert found == [True, True, False]
    assert connections.admits("203.0.113.9")
    assert all(connections.admits("10.0.0.7") for _ in range(5))


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("", ""),
    ],
)
def test_who_has_many_addresses_is_counted_by_the_network(address: str, counted: str) -> None:
    assert counted_as(address) == counted


class Application:
    def __init__(self) -> None:
        self.clients: list[Any] = []
        self.sent: list[dict[str, Any]] = []
        self.open_sockets = 0

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        self.clients.append(scope["client"])
        self.open_sockets = places.count(of_address(scope["client"][0]))

    async def send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)


def scope(kind: str, peer: str, forwarded: str = "") -> dict[str, Any]:
    headers = [(b"x-forwarded-for", forwarded.encode())] if forwarded else []
    return {"type": kind, "client": [peer, 5], "headers": headers}


async def test_views_and_sockets_see_the_client_s_address(settings) -> None:
    settings.TRUSTED_PROXIES = PROXIES
    inner = Application()

    await FromClients(inner)(scope("http", "10.0.0.7", "203.0.113.9"), None, inner.send)
    await FromClients(inner)(scope("websocket", "198.51.100.7", "203.0.113.9"), None, inner.send)

    assert inner.clients == [["203.0.113.9", 0], ["198.51.100.7", 5]]
    assert inner.open_sockets == 1
    assert places.count(of_address("198.51.100.7")) == 0, "it has ended"


async def test_a_socket_of_an_address_without_a_place_is_refused(settings) -> None:
    settings.CONNECTIONS_PER_ADDRESS = 0
    inner = Application()

    await FromClients(inner)(scope("websocket", "203.0.113.9"), None, inner.send)

    assert (inner.clients, inner.sent) == ([], [{"type": "websocket.close"}])
