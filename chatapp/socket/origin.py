"""The origin check of sockets: only this site's own pages may open one. Others get HTTP 403, before a socket exists."""

from collections.abc import Awaitable, Callable
from typing import Any

from django.conf import settings
from django.http.request import split_domain_port, validate_host
from django.utils.http import is_same_domain

Application = Callable[[dict[str, Any], Any, Any], Awaitable[None]]
WEB_SCHEMES = {"ws": "http", "wss": "https"}


class SameOriginOnly:
    """Accepts a WebSocket only if its Origin is the site's own or one of CSRF_TRUSTED_ORIGINS.

    The whole origin counts, port and scheme included; a missing or `null` Origin is refused. Where TLS ends at a proxy,
    the connection itself says `ws`: a site with an https origin takes none with http.
    """

    def __init__(self, application: Application) -> None:
        self._application = application

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        # What is a local variable here lives as long as the socket.
        if _is_own_page(scope):
            await self._application(scope, receive, send)
        else:
            await send({"type": "websocket.close"})


def _is_own_page(scope: dict[str, Any]) -> bool:
    headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
    return is_allowed_origin(
        headers.get(b"origin", ""), host=headers.get(b"host", ""), scheme=scope.get("scheme", "ws")
    )


def is_allowed_origin(origin: str, *, host: str, scheme: str) -> bool:
    """Compares `origin` with the request's Host, which must be an allowed one, and with the trusted origins."""
    if is_trusted_origin(origin):
        return True
    domain, _ = split_domain_port(host)
    allowed_hosts = settings.ALLOWED_HOSTS or ([".localhost", "127.0.0.1", "[::1]"] if settings.DEBUG else [])
    own_scheme = "https" if settings.HTTPS else WEB_SCHEMES.get(scheme, "?")
    own = f"{own_scheme}://{host.lower()}"
    return bool(domain) and validate_host(domain, allowed_hosts) and origin == own


def is_trusted_origin(origin: str) -> bool:
    """Whether it matches CSRF_TRUSTED_ORIGINS, which may contain a wildcard, `https://*.example.com`, as for forms."""
    if origin in settings.CSRF_TRUSTED_ORIGINS:
        return True
    scheme, separator, host = origin.partition("://")
    return bool(separator) and any(
        trusted_scheme == scheme and is_same_domain(host, pattern.removeprefix("*"))
        for trusted_scheme, _, pattern in (trusted.partition("://") for trusted in settings.CSRF_TRUSTED_ORIGINS)
        if pattern.startswith("*.")
    )
