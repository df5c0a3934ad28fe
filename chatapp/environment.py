"""Readers of environment variables: strict about what a value means, kind about how it is written.

A value that cannot be used raises `ImproperlyConfigured` with one sentence, which `manage.py` prints. Such a sentence
never shows the password in a URL.
"""

import os
import re
from email.utils import parseaddr
from ipaddress import IPv6Address, ip_network
from typing import TypedDict
from urllib.parse import quote, urlsplit

from django.core.exceptions import ImproperlyConfigured
from django.http.request import split_domain_port

DEFAULT_PORTS = {"http": 80, "https": 443}
# What may stand unquoted in a user name or password, `%` for what is quoted already.
CREDENTIAL_CHARACTERS = "!$&'()*+,;=%"
LONE_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")


class Mailer(TypedDict):
    """Options of Django's SMTP backend."""

    host: str
    port: int
    username: str
    password: str
    use_tls: bool
    use_ssl: bool
    timeout: int


def bool_from_env(name: str, *, default: bool) -> bool:
    words = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
    text = os.environ.get(name, "").strip().lower()
    if text and text not in words:
        raise ImproperlyConfigured(f"{name} is {text!r}: use 1 or 0.")
    return words[text] if text else default


def number_from_env(name: str, *, default: float, least: float, most: float) -> float:
    text = os.environ.get(name, "").strip()
    try:
        number = float(text) if text else default
    except ValueError:
        number = float("nan")
    if not least <= number <= most:
        raise ImproperlyConfigured(f"{name} is {text!r}: use a number from {least:g} to {most:g}.")
    return number


def word_from_env(name: str, *, words: tuple[str, ...]) -> str:
    """One of a few words; the first is the default."""
    word = os.environ.get(name, "").strip().lower() or words[0]
    if word not in words:
        raise ImproperlyConfigured(f"{name} is {word!r}: use {', '.join(words[:-1])} or {words[-1]}.")
    return word


def issuer_from_env(name: str) -> str:
    """The address of an OpenID Connect provider; empty if unset. Whoever is between us and it could sign anybody in."""
    url = url_from_env(name, schemes=("https", "http"))
    parts = urlsplit(url)
    if parts.scheme == "http" and parts.hostname not in ("localhost", "127.0.0.1", "::1"):
        raise ImproperlyConfigured(f"{name} has to begin with https://.")
    return url


def hosts_from_env(name: str, *, default: list[str]) -> list[str]:
    """Host names as Django wants them: an address with a scheme or a port gives its host."""
    return [_host(name, text) for text in _items(name)] or default


def origins_from_env(name: str) -> list[str]:
    """Origins as browsers send them: scheme and host, a port only where it is not the scheme's own."""
    return [_origin(name, text) for text in _items(name)]


def path_from_env(name: str, *, default: str) -> str:
    """A path of the site, without slashes around it."""
    text = os.environ.get(name, "").strip().strip("/") or default
    if not re.fullmatch(r"[\w-]+(/[\w-]+)*", text, re.ASCII):
        raise ImproperlyConfigured(f"{name} is {text!r}: use letters, digits, - and _, with / between parts.")
    return text


def networks_from_env(name: str) -> list[str]:
    """Addresses and networks."""
    found = _items(name)
    for text in found:
        try:
            ip_network(text, strict=False)
        except ValueError:
            raise ImproperlyConfigured(
                f"{name} has {text!r}: use addresses or networks, as 10.0.0.7 or 10.0.0.0/8, separated by commas."
            ) from None
    return found


def url_from_env(name: str, *, schemes: tuple[str, ...]) -> str:
    """A URL whose user name and password are quoted, so that every parser reads them alike; empty if unset."""
    text = os.environ.get(name, "").strip()
    if not text:
        return ""
    wrong = ImproperlyConfigured(f"{name} is not a URL that begins with {' or '.join(s + '://' for s in schemes)}.")
    scheme, separator, rest = text.partition("://")
    if not separator or scheme.lower() not in schemes:
        raise wrong
    try:
        url = f"{scheme.lower()}://{_quoted_credentials(rest)}"
        urlsplit(url).port  # noqa: B018  reading it checks it
    except ValueError:
        raise ImproperlyConfigured(f"{name} cannot be read: check its host and its port.") from None
    return url


def redis_url_from_env(name: str) -> str:
    """The address of a Redis; empty if unset."""
    url = url_from_env(name, schemes=("redis", "rediss", "unix"))
    parts = urlsplit(url)
    if not url or parts.scheme == "unix":
        return url
    database = parts.path.strip("/")
    if not parts.hostname or (database and not database.isdecimal()):
        raise ImproperlyConfigured(
            f"{name} is to name a host and the number of a database: write redis://:password@host:6379/0."
        )
    return url


def mail_addresses_from_env(name: str) -> list[str]:
    """The addresses of `ann@example.org, Bob <bob@example.org>`."""
    found = [(text, parseaddr(text)[1]) for text in _items(name)]
    for text, address in found:
        if not re.fullmatch(r"[^@\s]+@[^@\s]+", address):
            raise ImproperlyConfigured(f"{name}: {text!r} is no mail address.")
    return [address for _, address in found]


def mailer_from_env() -> Mailer:
    """How mails are sent. Without `EMAIL_HOST` they are not."""
    use_ssl = bool_from_env("EMAIL_USE_SSL", default=False)
    return {
        "host": os.environ.get("EMAIL_HOST", "").strip(),
        "port": int(number_from_env("EMAIL_PORT", default=465 if use_ssl else 587, least=1, most=65535)),
        "username": os.environ.get("EMAIL_HOST_USER", ""),
        "password": os.environ.get("EMAIL_HOST_PASSWORD", ""),
        "use_tls": bool_from_env("EMAIL_USE_TLS", default=not use_ssl),
        "use_ssl": use_ssl,
        "timeout": 10,
    }


def _items(name: str) -> list[str]:
    return os.environ.get(name, "").replace(",", " ").split()


def _host(name: str, text: str) -> str:
    bare = text.partition("://")[2] or text
    bare = bare.partition("/")[0].lower()
    if bare == "*":
        return bare
    if _is_ipv6(bare):
        return f"[{bare}]"
    domain, _port = split_domain_port(bare)
    if not domain:
        raise ImproperlyConfigured(
            f"{name} has {text!r}, which is no host: write chat.example.com, .example.com, an IP address or *."
        )
    return domain


def _is_ipv6(text: str) -> bool:
    try:
        IPv6Address(text)
    except ValueError:
        return False
    return True


def _origin(name: str, text: str) -> str:
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    is_origin = parts.scheme in DEFAULT_PORTS and parts.hostname and "@" not in parts.netloc
    if not is_origin or parts.path.strip("/") or parts.query or parts.fragment:
        raise ImproperlyConfigured(
            f"{name} has {text!r}, which is no origin: write the scheme and the host, as in https://chat.example.com."
        )
    host = parts.netloc.lower()
    if port == DEFAULT_PORTS[parts.scheme]:
        host = host.rpartition(":")[0]
    return f"{parts.scheme}://{host}"


def _quoted_credentials(rest: str) -> str:
    """`rest` is what follows `://`. A password may have any character, unquoted ones of a URL's own syntax too."""
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    path = rest[len(authority) :].partition("?")[0]
    is_plain = "@" in authority and "@" not in path
    credentials, at, address = (authority if is_plain else rest).rpartition("@")
    if not at:
        return rest
    user, colon, password = credentials.partition(":")
    behind = rest[len(authority) :] if is_plain else ""
    return f"{_quoted(user)}{colon}{_quoted(password)}@{address}{behind}"


def _quoted(text: str) -> str:
    return quote(LONE_PERCENT.sub("%25", text), safe=CREDENTIAL_CHARACTERS)
