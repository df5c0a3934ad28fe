"""Traces of replies by OpenTelemetry, where an exporter is configured: from a message's frame over its stored rows, the
provider's call and its first text to the end. Ids, states and numbers, never content.

A trace is put together once, at the end of its reply, from the times that its metrics take as well, so that nothing
is measured on the way. The tracer is ours alone: libraries that look for the process's own find none, because nobody
has judged what those would write.
"""

import asyncio
import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol

from django.conf import settings

from chatapp import log_context
from chatapp.protocol import ReplyFinished
from chatapp.replies.timeline import Timeline

logger = logging.getLogger(__name__)

_provider: Any = None
"""Of OpenTelemetry's SDK; None where traces are off."""


def begin(exporter: Any = None) -> None:
    """In the process that serves. Tests give an exporter; else it is OTLP over HTTP, whose own variables apply."""
    global _provider
    if _provider is not None or (exporter is None and not settings.OTEL_EXPORTER_OTLP_ENDPOINT):
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        logger.warning("Traces are off: install deploy/requirements-traces.txt.")
        return
    # `OTEL_RESOURCE_ATTRIBUTES` comes on top. Python's end waits for no collector.
    resource = Resource.create({"service.name": settings.OTEL_SERVICE_NAME})
    _provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    _provider.add_span_processor(BatchSpanProcessor(exporter or OTLPSpanExporter()))


async def flush(patience_seconds: float) -> None:
    """Sends what is left. A collector that hangs holds nobody up."""
    if _provider is None:
        return
    loop, sent = asyncio.get_running_loop(), asyncio.Event()

    def send() -> None:
        _provider.force_flush()
        with suppress(RuntimeError):  # the loop has ended without us
            loop.call_soon_threadsafe(sent.set)

    threading.Thread(target=send, name="traces", daemon=True).start()
    with suppress(TimeoutError):
        await asyncio.wait_for(sent.wait(), patience_seconds)


class CallOfTool(Protocol):
    """Where a call went and how it ended, without its content."""

    @property
    def server(self) -> str: ...
    @property
    def outcome(self) -> str: ...
    @property
    def began_at(self) -> float: ...
    @property
    def ended_at(self) -> float: ...


def saw_reply(
    finished: ReplyFinished,
    timeline: Timeline,
    *,
    assistant: str,
    model: str,
    calls: Sequence[CallOfTool] = (),
) -> None:
    """In memory only: a thread of the SDK's sends it later. Costs one comparison where traces are off."""
    if _provider is None:
        return
    from opentelemetry.trace import SpanKind, set_span_in_context

    tracer = _provider.get_tracer("warmcache.chat")
    facts = _facts_of(finished, assistant=assistant, model=model)
    whole = tracer.start_span(
        "reply", kind=SpanKind.SERVER, start_time=_nanoseconds(timeline.received_at), attributes=facts
    )
    inside = set_span_in_context(whole)
    for name, began_at, ended_at in _parts_of(timeline):
        part = tracer.start_span(name, context=inside, start_time=_nanoseconds(began_at))
        part.end(end_time=_nanoseconds(max(began_at, ended_at)))
    for call in calls:
        about = {"warmcache.server": call.server, "warmcache.outcome": call.outcome}
        part = tracer.start_span(
            "call of a tool",
            kind=SpanKind.CLIENT,
            context=inside,
            start_time=_nanoseconds(call.began_at),
            attributes=about,
        )
        part.end(end_time=_nanoseconds(max(call.began_at, call.ended_at)))
    whole.end(end_time=_nanoseconds(timeline.ended_at))


def _parts_of(timeline: Timeline) -> Iterator[tuple[str, float, float]]:
    """Each part that there was, one after the other."""
    moments = [
        ("store", timeline.received_at),
        ("prepare", timeline.committed_at),
        ("wait for first text", timeline.called_at),
        ("stream", timeline.first_text_at),
    ]
    begun = [(name, at) for name, at in moments if at is not None]
    ends = [at for _, at in begun[1:]] + [timeline.ended_at]
    yield from ((name, began_at, ended_at) for (name, began_at), ended_at in zip(begun, ends, strict=True))


def _facts_of(finished: ReplyFinished, *, assistant: str, model: str) -> Mapping[str, str | int | float]:
    usage = finished.usage
    facts: dict[str, str | int | float | None] = {
        **{f"warmcache.{name}": value for name, value in log_context.bound().items()},
        "warmcache.assistant": assistant,
        "warmcache.status": finished.status,
        "warmcache.warmth": finished.warmth,
        "warmcache.ttft_ms": finished.ttft_ms,
        "warmcache.cost_usd": None if finished.cost_usd is None else float(finished.cost_usd),
        "warmcache.stop_reason": finished.stop_reason,
        "error.type": finished.error.code if finished.error else None,
        "gen_ai.request.model": model,
        "gen_ai.usage.input_tokens": usage.input_tokens if usage else None,
        "gen_ai.usage.output_tokens": usage.output_tokens if usage else None,
        "warmcache.cache_read_tokens": usage.cache_read_tokens if usage else None,
        "warmcache.cache_write_tokens": usage.cache_write_tokens if usage else None,
    }
    return {name: value for name, value in facts.items() if value is not None}


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1e9)
