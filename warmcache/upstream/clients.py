"""The SDK's clients behind one way of calling: of the Claude API, and those that a host's factory makes for a cloud.

All take the same request. The cloud's clients rewrite its body and path, so they get it as a dict and not as bytes.
Importing this module imports the SDK: see `late.py`.
"""

import json
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any, cast

import anthropic
import httpx2
from anthropic import AsyncAnthropic, AsyncStream, DefaultAioHttpClient
from anthropic._base_client import AsyncAPIClient
from anthropic.types import Message, MessageTokensCount
from django.utils.module_loading import import_string

from warmcache.conf import Config
from warmcache.core.errors import ConfigurationError
from warmcache.core.prefix import Request
from warmcache.upstream.bodies import Body, IteratedBody, body_of

KEEP_ALIVE_SECONDS = 120
"""The SDK drops idle connections after 5 s: a person who types longer would pay a new TLS handshake on Enter."""

WITHOUT_DOCUMENTED_PREWARM = (
    anthropic.AsyncAnthropicBedrock,
    anthropic.AsyncAnthropicBedrockMantle,
    anthropic.AsyncAnthropicGoogleCloud,
    anthropic.AsyncAnthropicVertex,
)
"""Whether these clouds take `max_tokens: 0` is not documented."""


class Client:
    """One client, for one event loop. The SDK's own retries are off: `requests/stream.py` owns retries and timeouts."""

    def __init__(self, config: Config) -> None:
        # Every wait here has its own bound. A timeout of the client would set a timer for each read.
        timeout = httpx2.Timeout(None, connect=config.connect_timeout_seconds)
        self._is_own = not config.client
        self._sdk = _own_client(config, timeout) if self._is_own else _made_client(config.client, timeout)

    @property
    def has_documented_prewarm(self) -> bool:
        return not isinstance(self._sdk, WITHOUT_DOCUMENTED_PREWARM)

    async def post(self, request: Request, **options: Any) -> Any:
        """Like `messages.create`; for a streamed request, with the raw response."""
        is_stream = "stream" in options
        body = request.encoded(**options)
        answer = await self._sdk.post(
            "/v1/messages",
            **self._sent(body, request),
            cast_to=cast(type[Any], httpx2.Response if is_stream else Message),
            stream=is_stream,
            stream_cls=AsyncStream[Any],
        )
        if is_stream:
            _let_go_of_what_was_sent(answer)
        return answer

    async def count(self, request: Request) -> Any:
        """Like `messages.count_tokens`."""
        return await self._sdk.post(
            "/v1/messages/count_tokens", **self._sent(request.encoded(), request), cast_to=MessageTokensCount
        )

    def _sent(self, body: bytes, request: Request) -> dict[str, Any]:
        betas = {"anthropic-beta": ",".join(request.betas)} if request.betas else {}
        return {**({"content": body} if self._is_own else {"body": json.loads(body)}), "options": {"headers": betas}}

    def body_of(self, response: httpx2.Response) -> Body:
        """The decompressed body, as server-sent events."""
        if isinstance(self._sdk, anthropic.AsyncAnthropicBedrock):
            decoded = self._sdk._make_sse_decoder().aiter_bytes(response.aiter_bytes())
            return IteratedBody(_as_server_sent(decoded))
        return body_of(response)

    async def close(self) -> None:
        await self._sdk.close()


def _let_go_of_what_was_sent(response: httpx2.Response) -> None:
    """A response keeps its request, and that the whole prompt: a megabyte, for as long as a long reply streams."""
    response.request = httpx2.Request(response.request.method, response.request.url)


def _own_client(config: Config, timeout: httpx2.Timeout) -> Any:
    return AsyncAnthropic(
        api_key=config.api_key,
        base_url=config.base_url,
        max_retries=0,
        open_telemetry=False,
        timeout=timeout,
        http_client=DefaultAioHttpClient(
            limits=httpx2.Limits(
                max_connections=1000, max_keepalive_connections=200, keepalive_expiry=KEEP_ALIVE_SECONDS
            )
        ),
    )


def _made_client(path: str, timeout: httpx2.Timeout) -> Any:
    made = import_string(path)()
    if not isinstance(made, AsyncAPIClient):
        raise ConfigurationError(f"WARMCACHE['CLIENT'] ({path}) makes a {type(made).__name__}, and no async client.")
    return cast(Any, made).with_options(max_retries=0, timeout=timeout)


async def _as_server_sent(events: AsyncIterator[Any]) -> AsyncGenerator[bytes, None]:
    """Bedrock's InvokeModel has frames of its own around the same events."""
    async for event in events:
        yield f"event: {event.event}\ndata: {event.data}\n\n".encode()
