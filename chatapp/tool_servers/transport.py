"""How an MCP server is reached: to a checked address, without proxy, cookies or redirects, and with a limit for what it
may say. Imported late, as `sessions`."""

import ssl
from collections.abc import AsyncIterator, Collection, Iterable
from typing import Any

import httpcore2
import httpx2
from django.utils.translation import gettext

from chatapp.tool_servers.addresses import Refused, Resolve, checked

MAX_ANSWER_BYTES = 1024 * 1024
"""Of everything that a server sends in one session."""


class Transport(httpx2.AsyncBaseTransport):
    """Of one session with one server. `refusal` is why something was refused, which the layers above do not pass on."""

    def __init__(self, url: httpx2.URL, *, private_hosts: Collection[str], resolve: Resolve | None = None) -> None:
        self.refusal: Refused | None = None
        self._origin = (url.scheme, url.host, url.port)
        self._received = 0
        network = _CheckedNetwork(self, is_plain=url.scheme == "http", private_hosts=private_hosts, resolve=resolve)
        context = httpx2.create_ssl_context(trust_env=False) if url.scheme == "https" else ssl.create_default_context()
        self._pool = httpcore2.AsyncConnectionPool(ssl_context=context, max_connections=4, network_backend=network)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if (request.url.scheme, request.url.host, request.url.port) != self._origin:
            raise self.refuses(gettext("It sent us somewhere else."))
        if not isinstance(request.stream, httpx2.AsyncByteStream):
            raise TypeError("A request of a session is asynchronous.")
        asked = httpcore2.Request(
            method=request.method,
            url=httpcore2.URL(
                scheme=request.url.raw_scheme,
                host=request.url.raw_host,
                port=request.url.port,
                target=request.url.raw_path,
            ),
            headers=[each for each in request.headers.raw if each[0].lower() != b"accept-encoding"],
            content=request.stream,
            extensions=request.extensions,
        )
        try:
            answer = await self._pool.handle_async_request(asked)
        except (httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.TimeoutException) as error:
            raise httpx2.TransportError(type(error).__name__) from error
        headers = httpx2.Headers(answer.headers)
        if 300 <= answer.status < 400:
            await answer.aclose()
            raise self.refuses(gettext("It redirects, and we do not follow."))
        if headers.get("content-encoding", "identity").lower() != "identity":
            await answer.aclose()
            raise self.refuses(gettext("It compresses its answer, although it was not asked to."))
        kept = [each for each in answer.headers if each[0].lower() != b"set-cookie"]
        return httpx2.Response(answer.status, headers=kept, stream=_Bounded(self, answer), extensions=answer.extensions)

    def counts(self, size_bytes: int) -> None:
        self._received += size_bytes
        if self._received > MAX_ANSWER_BYTES:
            raise self.refuses(gettext("It sent more than %(most)d MB.") % {"most": MAX_ANSWER_BYTES // 1024**2})

    def refuses(self, why: str) -> Refused:
        return self.notes(Refused(why))

    def notes(self, refusal: Refused) -> Refused:
        self.refusal = self.refusal or refusal
        return refusal

    async def aclose(self) -> None:
        await self._pool.aclose()


class _Bounded(httpx2.AsyncByteStream):
    def __init__(self, transport: Transport, answer: httpcore2.Response) -> None:
        self._transport = transport
        self._answer = answer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for part in self._answer.aiter_stream():
                self._transport.counts(len(part))
                yield part
        except (httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.TimeoutException) as error:
            raise httpx2.ReadError(type(error).__name__) from error

    async def aclose(self) -> None:
        await self._answer.aclose()


class _CheckedNetwork(httpcore2.AsyncNetworkBackend):
    """Connects to the address that was judged. The name stays in the Host header and in the certificate's check."""

    def __init__(self, transport: Transport, **rules: Any) -> None:
        self._transport = transport
        self._rules = rules
        self._network = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  the base class's
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        try:
            addresses = await checked(host, port, **self._rules)
        except Refused as refusal:
            raise self._transport.notes(refusal) from None
        failure: Exception | None = None
        for address in addresses:
            try:
                return await self._network.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore2.NetworkError, httpcore2.TimeoutException) as error:
                failure = error
        raise failure or httpcore2.ConnectError()

    async def connect_unix_socket(self, *args: Any, **kwargs: Any) -> httpcore2.AsyncNetworkStream:
        raise self._transport.refuses(gettext("A server is reached over the network alone."))

    async def sleep(self, seconds: float) -> None:
        await self._network.sleep(seconds)
