"""A real request that somebody else has sent, such as a framework: recorded and settled by the bill that came back."""

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from warmcache.cache.beliefs import left_entries, record_answer
from warmcache.cache.visits import visit_keys_before
from warmcache.core.origin import Origin
from warmcache.core.outcomes import Purpose, RequestStatus
from warmcache.core.prefix import Request
from warmcache.core.usage import Usage
from warmcache.ledger.rows import RequestFacts, settlement_without_row
from warmcache.requests.ending import Ending, Result, end_request
from warmcache.requests.stream import visit_facts
from warmcache.runtime.state import Runtime
from warmcache.upstream.event_stream import usage_of


async def record_reported(
    runtime: Runtime,
    request: Request,
    usage: Usage | None,
    *,
    origin: Origin,
    purpose: Purpose,
    started_at: float,
    first_token_at: float | None,
    stop_reason: str,
    request_id: str,
    response_id: str,
    ending: Ending | None,
) -> Result:
    """What `ResponseStream` does with the answer to its own call. Without `usage`, the request failed."""
    now, prefix = runtime.clock.now(), request.prefix
    is_reply = purpose is Purpose.REPLY
    visit = runtime.visits.meet(origin.subject, visit_keys_before(prefix), started_at) if is_reply else None
    facts = RequestFacts(
        id=uuid4(),
        origin=origin,
        purpose=purpose,
        prefix=prefix,
        started_at=started_at,
        duration_ms=_milliseconds(started_at, now),
        ttft_ms=_milliseconds(started_at, first_token_at) if first_token_at is not None else None,
        status=RequestStatus.COMPLETE if usage is not None else RequestStatus.FAILED,
        error_code=None,
        request_id=request_id,
        found=usage,
        usage=usage,
        rates=runtime.rates(prefix.model, usage.total_input_tokens) if usage is not None else None,
        joined_id=None,
        raced_id=None,
        waited_ms=0,
        response_id=response_id,
        asked_tool=stop_reason in ("tool_use", "pause_turn"),
        **visit_facts(visit, started_at),
    )
    if usage is not None:
        await _remember(runtime, facts, usage, first_token_at)
    result = Result(
        status=facts.status,
        stop_reason=stop_reason,
        stop_details=None,
        usage=usage,
        request_id=request_id,
        ttft_ms=facts.ttft_ms,
        settlement=settlement_without_row(facts),
        prefix=prefix,
        started_at=started_at,
        asks_tool=facts.asked_tool,
    )
    return await end_request(runtime, facts, result, ending)


async def _remember(runtime: Runtime, facts: RequestFacts, usage: Usage, first_token_at: float | None) -> None:
    prefix, capabilities = facts.prefix, runtime.provider.capabilities
    if first_token_at is not None and capabilities.reports_cache_writes:
        runtime.learning.saw_call(prefix.model, usage, first_token_at - facts.started_at)
    await record_answer(
        runtime.store,
        prefix,
        facts.started_at,
        usage,
        sightings={},
        left_something=left_entries(usage, capabilities),
    )
    await runtime.guards.note_request(
        prefix,
        subject=facts.origin.subject,
        earns_credit=facts.purpose is Purpose.REPLY,
        found=usage,
        started_at=facts.started_at,
    )


def reported_usage(usage: Any) -> Usage | None:
    """The usage of an answer as the Messages API gives it: a mapping, or the SDK's object."""
    if usage is None or isinstance(usage, Usage):
        return usage
    told = usage if isinstance(usage, Mapping) else getattr(usage, "to_dict", dict)()
    if not {"input_tokens", "output_tokens"} <= set(told):
        raise ValueError(
            "usage is what the Messages API answers: input_tokens, output_tokens, cache_read_input_tokens,"
            f" cache_creation_input_tokens; not {sorted(told) or type(usage).__name__}."
        )
    return usage_of(dict(told))


def _milliseconds(earlier: float, later: float) -> int:
    return max(0, round((later - earlier) * 1000))
