"""The Messages API over HTTP: real, simulated or local, distinguished only by a `Capabilities` value.

One client per event loop (`clients.py`). Importing this module takes seconds (the SDK): `late.py` does it in a thread.
"""

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import replace
from typing import Any

import anthropic
import httpx2
from anthropic.types import Message, MessageTokensCount

from warmcache.conf import Config
from warmcache.core.blocks import BlockKind
from warmcache.core.errors import StreamBroken, UpstreamError, UpstreamUnavailable
from warmcache.core.failures import Failure
from warmcache.core.ports import Answer, BlockDelta, StreamEvent
from warmcache.core.prefix import Request
from warmcache.upstream.api_errors import (
    MAX_BODY_BYTES,
    as_prewarm_refused,
    as_upstream_error,
    not_the_api,
    status_error,
    too_many_bytes,
    unsendable,
)
from warmcache.upstream.bodies import Body
from warmcache.upstream.clients import Client
from warmcache.upstream.event_stream import ErrorReported, EventStream, usage_of
from warmcache.upstream.late import capabilities_of
from warmcache.upstream.loop_lag import LoopLag
from warmcache.upstream.patience import Patience

logger = logging.getLogger(__name__)

DRAIN_SECONDS = 1.0
"""After the last event: how long the end of the body may take; later, the connection is closed instead of reused."""


class MessagesProvider:
    """A `Provider` over the official SDK."""

    def __init__(self, config: Config) -> None:
        self.capabilities = capabilities_of(config)
        self._config = config
        self._client = Client(config)
        self._lag = LoopLag()
        if config.client and config.accepts_zero_max_tokens is None:
            accepts = self._client.has_documented_prewarm
            self.capabilities = replace(self.capabilities, accepts_zero_max_tokens=accepts)

    async def prewarm(self, request: Request) -> Answer:
        try:
            async with asyncio.timeout(self._config.warm_up_timeout_seconds):
                message = await self._create(request, None, max_tokens=0)
            if not isinstance(message, Message):
                raise not_the_api()
            return Answer(
                usage=usage_of(message.usage.model_dump()),
                request_id=message._request_id or "",
                response_id=message.id or "",
            )
        except TimeoutError:
            raise UpstreamUnavailable(Failure.TIMED_OUT, "The warm-up took too long and was given up.") from None
        except Exception as error:
            found = as_upstream_error(error, has_begun=False)
            raise (as_prewarm_refused(error, found) or found) from error

    @asynccontextmanager
    async def stream(
        self, request: Request, *, max_tokens: int, earlier_id: str | None = None
    ) -> AsyncIterator[AsyncIterator[Sequence[StreamEvent]]]:
        config = self._config
        seconds = config.total_timeout_seconds if request.timeout_seconds is None else request.timeout_seconds
        deadline = _monotonic() + seconds
        try:
            async with asyncio.timeout(min(seconds, config.first_event_timeout_seconds)):
                response = await self._create(request, earlier_id, max_tokens=max_tokens, stream=True)
                await _check_is_stream(response)
        except TimeoutError:
            raise UpstreamUnavailable(Failure.TIMED_OUT, "Claude did not begin to answer in time.") from None
        except Exception as error:
            raise as_upstream_error(error, has_begun=False) from error
        reader = _StreamReader(response, self._client.body_of(response), config, lag=self._lag, deadline=deadline)
        try:
            async with aclosing(reader.events()) as events:
                yield events
        finally:
            await response.aclose()

    async def count_tokens(self, request: Request) -> int:
        try:
            async with asyncio.timeout(self._config.warm_up_timeout_seconds):
                counted = await self._client.count(request)
            if not isinstance(counted, MessageTokensCount):
                raise not_the_api()
            return counted.input_tokens
        except TimeoutError:
            raise UpstreamUnavailable(Failure.TIMED_OUT, "The count took too long and was given up.") from None
        except Exception as error:
            raise as_upstream_error(error, has_begun=False) from error

    async def aclose(self) -> None:
        await self._client.close()

    async def _create(self, request: Request, earlier_id: str | None, **options: Any) -> Any:
        """Asks for diagnostics outside of the prefix, so that no byte of the prefix depends on them. The provider keeps
        a fingerprint only of requests that ask, so warm-ups ask too, without an earlier answer to compare."""
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
        if not request.is_sendable:
            raise unsendable()
        if request.size_bytes > MAX_BODY_BYTES:
            raise too_many_bytes(request.size_bytes)
        return await self._client.post(request, **options)


class _StreamReader:
    """Reads the body, applies the timeouts, and checks whether the stream really ended."""

    def __init__(self, response: httpx2.Response, body: Body, config: Config, *, lag: LoopLag, deadline: float) -> None:
        self._response = response
        self._body = body
        self._config = config
        self._lag = lag
        self._request_id = response.headers.get("request-id", "")
        self._stream = EventStream(request_id=self._request_id)
        self._patience = Patience()
        self._deadline = deadline
        self._silent_until = 0.0
        self._events_seen = -1

    async def events(self) -> AsyncGenerator[Sequence[StreamEvent], None]:
        stream = self._stream
        try:
            async with aclosing(self._body) as body:
                while chunk := await self._next(body):
                    events = stream.feed(chunk)
                    if events:
                        yield events
                    if stream.has_ended:
                        await self._drain(body)
                        return
                    if stream.failure is not None:
                        raise self._told(stream.failure)
                    # Only in the middle of a block: what begins a stream or a block, the first words follow.
                    if events and isinstance(events[-1], BlockDelta):
                        await self._rest(body)
        finally:
            self._patience.close()
        raise StreamBroken(
            Failure.STREAM_ENDED_EARLY, "The reply broke off before its end.", request_id=self._request_id
        )

    def _told(self, failure: UpstreamError | ErrorReported) -> UpstreamError:
        if isinstance(failure, UpstreamError):
            return failure
        error = anthropic.APIStatusError(str(failure), response=self._response, body=failure.body)
        return status_error(error, has_begun=self._stream.has_begun, request_id=self._request_id)

    async def _rest(self, body: Body) -> None:
        """Where the event loop lags, lets deltas gather for the next read."""
        self._lag.measure()
        if seconds := self._lag.rest_seconds:
            await body.rest(seconds)

    async def _drain(self, body: Body) -> None:
        """Reads the body's last bytes, so that the connection can be reused. The reply is complete without them."""
        with suppress(Exception):
            async with asyncio.timeout(DRAIN_SECONDS):
                while await body.read():
                    pass

    async def _next(self, body: Body) -> bytes:
        """The next bytes, empty at the end. Pings do not count as activity."""
        now = _monotonic()
        if self._stream.events_read != self._events_seen:
            self._events_seen = self._stream.events_read
            self._silent_until = now + self._patience_seconds()
        seconds = min(self._silent_until, self._deadline) - now
        try:
            if seconds <= 0:
                raise TimeoutError
            return await self._patience.wait(body.read(), seconds=seconds)
        except TimeoutError:
            raise self._too_slow(is_over=self._deadline < self._silent_until) from None
        except Exception as error:
            raise as_upstream_error(error, has_begun=self._stream.has_begun, request_id=self._request_id) from error

    def _too_slow(self, *, is_over: bool) -> StreamBroken:
        if is_over:
            return StreamBroken(
                Failure.TIMED_OUT, "The reply took longer than is allowed.", request_id=self._request_id
            )
        message = "Claude stopped sending in the middle of the reply."
        return StreamBroken(Failure.STREAM_STALLED, message, request_id=self._request_id)

    def _patience_seconds(self) -> float:
        if not self._stream.has_begun:
            return self._config.first_event_timeout_seconds
        kinds = self._stream.open_kinds.values()
        is_silent_by_nature = not kinds or BlockKind.THINKING in kinds or BlockKind.OTHER in kinds
        return self._config.thinking_timeout_seconds if is_silent_by_nature else self._config.idle_timeout_seconds


async def _check_is_stream(response: httpx2.Response) -> None:
    """Raises for a success that holds a page, or an error that a gateway gave the status of a success."""
    content_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not content_type.endswith(("html", "json")):
        return
    try:
        body = await response.aread()
    finally:
        await response.aclose()
    error = _error_in(body)
    request_id = response.headers.get("request-id", "")
    if error is None:
        raise not_the_api(request_id=request_id)
    told = anthropic.APIStatusError(str(error), response=response, body=error)
    raise status_error(told, has_begun=False, request_id=request_id)


def _error_in(body: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(body)
    except ValueError:
        return None
    return found if isinstance(found, dict) and "error" in found else None


def _monotonic() -> float:
    return asyncio.get_running_loop().time()
