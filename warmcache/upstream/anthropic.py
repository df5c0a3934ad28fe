"""The Messages API over HTTP: real, simulated or local, told apart only by a `Capabilities` value.

One client per event loop. The SDK's own retries are off: `requests/stream.py` owns retry and clocks. Importing this
module takes seconds (the SDK), so `runtime/wiring.py` does it when the first provider is built, not at start-up.
"""

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import replace
from typing import Any, cast

import aiohttp
import anthropic
import httpx2
from anthropic import AsyncAnthropic, AsyncStream, DefaultAioHttpClient
from anthropic.types import RawMessageStreamEvent

from warmcache.conf import Config
from warmcache.core.errors import (
    StreamBroken,
    UpstreamError,
    UpstreamRefused,
    UpstreamUnavailable,
)
from warmcache.core.ports import (
    Answer,
    BlockBegan,
    BlockDelta,
    BlockEnded,
    BlockKind,
    BlockSigned,
    Capabilities,
    StreamBegan,
    StreamEnded,
    StreamEvent,
)
from warmcache.core.prefix import Request
from warmcache.core.usage import Usage

logger = logging.getLogger(__name__)

KEEP_ALIVE_SECONDS = 120
"""The SDK drops idle connections after 5 s: whoever types for longer would pay a new TLS handshake on Enter."""

DRAIN_SECONDS = 1.0
"""After the last event: how long the end of the body may take before the connection is closed instead of kept."""

TRANSPORT_ERRORS = (httpx2.TransportError, aiohttp.ClientError, ConnectionError, anthropic.APIConnectionError)


class MessagesProvider:
    """A `Provider` over the official SDK."""

    def __init__(self, config: Config) -> None:
        self.capabilities = Capabilities(
            upstream=config.upstream,
            accepts_zero_max_tokens=config.accepts_zero_max_tokens,
            reports_cache_writes=config.upstream != "local",
            accepts_diagnostics=config.upstream != "local",
        )
        self._config = config
        self._client = AsyncAnthropic(
            api_key=config.api_key,
            base_url=config.base_url,
            max_retries=0,
            open_telemetry=False,
            timeout=httpx2.Timeout(config.total_timeout_seconds, connect=config.connect_timeout_seconds),
            http_client=DefaultAioHttpClient(
                limits=httpx2.Limits(
                    max_connections=1000, max_keepalive_connections=200, keepalive_expiry=KEEP_ALIVE_SECONDS
                )
            ),
        )

    async def prewarm(self, request: Request) -> Answer:
        try:
            async with asyncio.timeout(self._config.warm_up_timeout_seconds):
                message = await self._create(request, None, max_tokens=0)
            return Answer(
                usage=usage_of(message.usage), request_id=message._request_id or "", response_id=message.id or ""
            )
        except TimeoutError:
            raise UpstreamUnavailable("timed_out", "The warm-up took too long and was given up.") from None
        except Exception as error:
            raise as_upstream_error(error, has_begun=False) from error

    @asynccontextmanager
    async def stream(
        self, request: Request, *, max_tokens: int, earlier_id: str | None = None
    ) -> AsyncIterator[AsyncIterator[StreamEvent]]:
        try:
            async with asyncio.timeout(self._config.first_event_timeout_seconds):
                response = await self._create(request, earlier_id, max_tokens=max_tokens, stream=True)
        except TimeoutError:
            raise UpstreamUnavailable("timed_out", "Claude did not begin to answer in time.") from None
        except Exception as error:
            raise as_upstream_error(error, has_begun=False) from error
        try:
            async with aclosing(_StreamReader(response, self._config).events()) as events:
                yield events
        finally:
            await response.close()

    async def aclose(self) -> None:
        await self._client.close()

    async def _create(self, request: Request, earlier_id: str | None, **options: Any) -> Any:
        """Asks for diagnostics beside the request: they are no part of its prefix, and no byte of that depends on
        them. The provider keeps a fingerprint only of requests that ask, so warm-ups ask too, about nothing."""
        if not self.capabilities.accepts_diagnostics:
            return await self._call(request, **options)
        try:
            return await self._call(request, diagnostics={"previous_message_id": earlier_id}, **options)
        except anthropic.BadRequestError as error:
            if "diagnostics" not in str(error.message):
                raise
            logger.warning("The endpoint does not take `diagnostics`; it is not asked again: %s", error.message)
        self.capabilities = replace(self.capabilities, accepts_diagnostics=False)
        return await self._call(request, **options)

    async def _call(self, request: Request, **options: Any) -> Any:
        return await self._client.messages.create(**request.body, extra_headers=_beta_header(request), **options)


class _StreamReader:
    """Turns the SDK's events into ours, keeps the clocks, and says whether the stream really ended."""

    def __init__(self, response: AsyncStream[RawMessageStreamEvent], config: Config) -> None:
        self._response = response
        self._config = config
        self._request_id = response.response.headers.get("request-id", "")
        self._usage: dict[str, Any] = {}
        self._stop_reason = ""
        self._kinds: dict[int, BlockKind] = {}
        self._has_begun = False
        self._has_ended = False
        self._deadline = _monotonic() + config.total_timeout_seconds

    async def events(self) -> AsyncGenerator[StreamEvent, None]:
        source = aiter(self._response)
        while (raw := await self._next(source)) is not None:
            event = self._readable(raw)
            if event is not None:
                yield event
            if self._has_ended:
                await self._drain(source)
                return
        raise StreamBroken("stream_ended_early", "The reply broke off before its end.", request_id=self._request_id)

    async def _drain(self, source: AsyncIterator[RawMessageStreamEvent]) -> None:
        """Reads the body's last bytes, so that the connection can be used again. The reply is whole without them."""
        with suppress(Exception):
            async with asyncio.timeout(DRAIN_SECONDS):
                while await anext(source, None) is not None:
                    pass

    async def _next(self, source: AsyncIterator[RawMessageStreamEvent]) -> RawMessageStreamEvent | None:
        patience_seconds, remaining_seconds = self._patience_seconds(), self._deadline - _monotonic()
        try:
            async with asyncio.timeout(min(patience_seconds, remaining_seconds)):
                return await anext(source, None)
        except TimeoutError:
            raise self._too_slow(is_over=remaining_seconds < patience_seconds) from None
        except Exception as error:
            raise as_upstream_error(error, has_begun=self._has_begun, request_id=self._request_id) from error

    def _too_slow(self, *, is_over: bool) -> StreamBroken:
        if is_over:
            return StreamBroken("timed_out", "The reply took longer than is allowed.", request_id=self._request_id)
        message = "Claude stopped sending in the middle of the reply."
        return StreamBroken("stream_stalled", message, request_id=self._request_id)

    def _patience_seconds(self) -> float:
        if not self._has_begun:
            return self._config.first_event_timeout_seconds
        is_silent_by_nature = not self._kinds or "thinking" in self._kinds.values()
        return self._config.thinking_timeout_seconds if is_silent_by_nature else self._config.idle_timeout_seconds

    def _readable(self, raw: RawMessageStreamEvent) -> StreamEvent | None:
        """The SDK does not validate: an event of another shape shows only when a field is missing."""
        try:
            return self._translated(raw)
        except (AttributeError, TypeError) as error:
            raise as_upstream_error(error, has_begun=self._has_begun, request_id=self._request_id) from error

    def _translated(self, raw: RawMessageStreamEvent) -> StreamEvent | None:
        match raw.type:
            case "message_start":
                self._has_begun = True
                self._usage = _fields(raw.message.usage)
                return StreamBegan(
                    usage=usage_of(self._usage),
                    request_id=self._request_id,
                    response_id=raw.message.id,
                    miss_reason=_miss_reason(raw.message),
                )
            case "content_block_start":
                return self._block_began(raw.index, raw.content_block)
            case "content_block_delta":
                return self._delta(raw.index, raw.delta)
            case "content_block_stop":
                return BlockEnded(index=raw.index) if self._kinds.pop(raw.index, None) else None
            case "message_delta":
                self._usage |= {name: value for name, value in _fields(raw.usage).items() if value is not None}
                self._stop_reason = raw.delta.stop_reason or self._stop_reason
                return None
            case "message_stop":
                self._has_ended = True
                return StreamEnded(stop_reason=self._stop_reason, usage=usage_of(self._usage))
            case _:
                return None

    def _block_began(self, index: int, block: Any) -> StreamEvent | None:
        kind = _KINDS.get(block.type)
        if kind is None:
            return None
        self._kinds[index] = kind
        return BlockBegan(index=index, kind=kind, name=getattr(block, "name", ""), block=_fields(block))

    def _delta(self, index: int, delta: Any) -> StreamEvent | None:
        if delta.type == "signature_delta":
            return BlockSigned(index=index, signature=delta.signature)
        attribute = _DELTA_TEXT.get(delta.type)
        if attribute is None or index not in self._kinds:
            return None
        text = getattr(delta, attribute)
        return BlockDelta(index=index, kind=self._kinds[index], text=text) if text else None


_KINDS: dict[str, BlockKind] = {"text": "text", "thinking": "thinking", "tool_use": "tool_input"}
_DELTA_TEXT = {"text_delta": "text", "thinking_delta": "thinking", "input_json_delta": "partial_json"}


def usage_of(raw: Any) -> Usage:
    """The SDK's usage, or a dict of its fields, as ours. A missing or null counter is 0."""
    found = raw if isinstance(raw, Mapping) else _fields(raw)
    by_ttl = found.get("cache_creation") or {}
    return Usage(
        input_tokens=found.get("input_tokens") or 0,
        cache_read_tokens=found.get("cache_read_input_tokens") or 0,
        cache_write_tokens=found.get("cache_creation_input_tokens") or 0,
        cache_write_1h_tokens=by_ttl.get("ephemeral_1h_input_tokens") or 0,
        output_tokens=found.get("output_tokens") or 0,
    )


def _miss_reason(message: Any) -> str:
    """Empty where it was not asked for, where nothing parted, and while the comparison still runs."""
    found = getattr(getattr(message, "diagnostics", None), "cache_miss_reason", None)
    return str(getattr(found, "type", ""))


def as_upstream_error(error: Exception, *, has_begun: bool, request_id: str = "") -> UpstreamError:
    """Any exception of the SDK or its transport as ours, in words for the person who waits."""
    if isinstance(error, UpstreamError):
        return error
    if isinstance(error, anthropic.APITimeoutError | httpx2.TimeoutException):
        if has_begun:
            return StreamBroken("stream_stalled", "Claude stopped sending in the middle.", request_id=request_id)
        return UpstreamUnavailable("timed_out", "Claude did not answer in time.", request_id=request_id)
    if isinstance(error, TRANSPORT_ERRORS):
        if has_begun:
            return StreamBroken("stream_cut", "The connection to Claude broke mid-reply.", request_id=request_id)
        return UpstreamUnavailable("unreachable", "Claude cannot be reached right now.", request_id=request_id)
    if isinstance(error, anthropic.APIStatusError):
        return _status_error(error, has_begun=has_begun, request_id=error.request_id or request_id)
    if isinstance(error, UnicodeEncodeError):
        # Half of a surrogate pair: Python can hold it, JSON in UTF-8 cannot.
        return UpstreamRefused("request_refused", "The text has a character that cannot be sent.")
    if isinstance(error, _UNREADABLE):
        return StreamBroken("stream_malformed", "Claude's answer could not be read.", request_id=request_id)
    raise error


_UNREADABLE = (
    json.JSONDecodeError,
    anthropic.APIResponseValidationError,
    UnicodeDecodeError,
    AttributeError,
    TypeError,
)
"""The last two: the answer has another shape than a message, as from a proxy that answers 200 with a page."""


def _status_error(error: anthropic.APIStatusError, *, has_begun: bool, request_id: str) -> UpstreamError:
    kind = error.type or ""
    status = error.status_code
    logger.warning("The API answered %d %s to request %s: %s", status, kind, request_id or "?", error.api_message)
    if _is_spend_limit(error):
        return UpstreamRefused(
            "spend_limit",
            "The spending limit of the API key is reached. The operator can raise it.",
            request_id=request_id,
        )
    if status in _REFUSALS or kind in _REFUSED_TYPES:
        code, message = _REFUSALS.get(status) or _REFUSED_TYPES[kind]
        return UpstreamRefused(code, message, request_id=request_id)
    # After HTTP 200 an `error` event arrives with status 200, so the type decides, not the class.
    if kind == "overloaded_error" or status == 529:
        code, message = "overloaded", "Claude is overloaded right now."
    elif kind == "rate_limit_error" or status == 429:
        code, message = "rate_limited", "Too many requests for this API key right now."
    elif 400 <= status < 500 and status not in _PASSING_CLIENT_ERRORS:
        return UpstreamRefused(*_REQUEST_REFUSED, request_id=request_id)
    else:
        code, message = "server_error", "Claude had an internal error."
    if has_begun:
        return StreamBroken(code, f"{message} The reply broke off.", request_id=request_id)
    return UpstreamUnavailable(
        code, message, request_id=request_id, retry_after_seconds=_retry_after(error.response.headers)
    )


_KEY_REFUSED = ("key_refused", "Claude refuses the API key. The operator has to check ANTHROPIC_API_KEY.")
_REQUEST_REFUSED = ("request_refused", "Claude refuses this request as it is; the server's log has its reason.")
_REFUSALS = {
    400: _REQUEST_REFUSED,
    401: _KEY_REFUSED,
    402: ("spend_limit", "The API key has a billing problem. The operator has to look at it."),
    403: _KEY_REFUSED,
    404: ("model_not_found", "Claude does not know this assistant's model. The operator has to choose another."),
    413: ("prompt_too_large", "The conversation has become too large for one request. Start a new chat."),
    422: _REQUEST_REFUSED,
}
_REFUSED_TYPES = {"authentication_error": _KEY_REFUSED, "invalid_request_error": _REQUEST_REFUSED}
_PASSING_CLIENT_ERRORS = {408, 409, 425}


def _is_spend_limit(error: anthropic.APIStatusError) -> bool:
    """A 429 with an error code of its own, or a 400 that can only be told by how its message begins."""
    text = str(error.message)
    return "enforced_spend_limit_reached" in f"{error.error_code} {text}" or (
        error.status_code == 400 and "You have reached your specified API usage limits" in text
    )


def _retry_after(headers: Mapping[str, str]) -> float | None:
    try:
        seconds = float(headers.get("retry-after", ""))
    except ValueError:
        return None
    return seconds if seconds >= 0 else None


def _monotonic() -> float:
    return asyncio.get_running_loop().time()


def _beta_header(request: Request) -> dict[str, str]:
    return {"anthropic-beta": ",".join(request.betas)} if request.betas else {}


def _fields(model: Any) -> dict[str, Any]:
    return cast(dict[str, Any], model.model_dump(mode="json")) if model is not None else {}
