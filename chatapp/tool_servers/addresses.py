"""Where an MCP server may be: https, and never an address of the inside, unless the operator lists its host.

The address that is judged is the one that is connected to: a name that is looked up twice may give two answers.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Collection
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import urlsplit

from django.utils.translation import gettext

Resolve = Callable[[str, int], Awaitable[list[str]]]

_NAT64 = ip_network("64:ff9b::/96")
_INSIDE = (
    ip_network("168.63.129.16/32"),  # Azure's own services, behind an address that looks public
    ip_network("192.0.0.0/24"),  # among others Oracle's
    ip_network("::/96"),
    ip_network("64:ff9b:1::/48"),
    ip_network("2001::/32"),  # Teredo and 6to4: what they lead to is anybody's guess
    ip_network("2002::/16"),
    ip_network("fec0::/10"),
)


class Refused(Exception):
    """A server may not be asked, or what it said may not be used; why, in a sentence for an operator, in the language
    of the page that asked."""


def problem_of_url(url: str, *, private_hosts: Collection[str]) -> str | None:
    """Why this is no address of a server, in a sentence; None if it may be one."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return gettext("This address cannot be read.")
    if any(not "!" <= each <= "~" for each in url):
        return gettext("An address has no spaces, and of other letters only the encoded form.")
    if parts.scheme not in ("https", "http") or not host:
        return gettext("An address begins with https:// and a host.")
    if "@" in parts.netloc or parts.fragment:
        return gettext(
            "An address has no user name, no password and nothing behind #: a secret comes from the environment."
        )
    if parts.scheme == "http" and not _is_listed(host, private_hosts):
        return gettext(
            "An address begins with https://. With http only a host of this machine that MCP_PRIVATE_HOSTS lists."
        )
    if _is_address(host) and not _is_listed(host, private_hosts) and is_inside(host):
        told = gettext("%(host)s is an address of the inside: MCP_PRIVATE_HOSTS would have to list it.")
        return told % {"host": host}
    return None


async def checked(
    host: str, port: int, *, is_plain: bool, private_hosts: Collection[str], resolve: Resolve | None = None
) -> list[str]:
    """The addresses of a host, to connect to one of them and to nothing else. Raises `Refused` if one of them is of the
    inside, or, without encryption (`is_plain`), of another machine."""
    try:
        found = await (resolve or _resolve)(host, port)
    except OSError as error:
        raise Refused(gettext("Its host's name is not known.")) from error
    if not found:
        raise Refused(gettext("Its host's name is not known."))
    if is_plain and not all(_is_of_this_machine(each) for each in found):
        raise Refused(gettext("Without https only this machine itself is asked."))
    if not _is_listed(host, private_hosts) and any(map(is_inside, found)):
        told = gettext("Its host's name stands for an address of the inside, and MCP_PRIVATE_HOSTS does not list it.")
        raise Refused(told)
    return found


def is_inside(address: str) -> bool:
    """Whether it is anything but an address of the public network."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return True
    return _is_one_of_the_inside(_behind(found))


def _is_one_of_the_inside(address: IPv4Address | IPv6Address) -> bool:
    listed = any(address in network for network in _INSIDE if network.version == address.version)
    return listed or not address.is_global or address.is_multicast or address.is_reserved


def _behind(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address that an IPv6 address leads to, where it does."""
    if isinstance(address, IPv6Address):
        if address in _NAT64:
            return IPv4Address(address.packed[12:])
        return address.ipv4_mapped or address
    return address


def _is_of_this_machine(address: str) -> bool:
    return _behind(ip_address(address.partition("%")[0])).is_loopback


def _is_address(host: str) -> bool:
    """Also in the short spellings that the system's own look-up takes: 127.1, 2130706433, 0x7f.1."""
    try:
        ip_address(host)
    except ValueError:
        return all(part.isdigit() or part.lower().startswith("0x") for part in host.rstrip(".").split("."))
    return True


def _is_listed(host: str, private_hosts: Collection[str]) -> bool:
    return host.lower().strip("[]") in {each.lower().strip("[]") for each in private_hosts}


async def _resolve(host: str, port: int) -> list[str]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))
