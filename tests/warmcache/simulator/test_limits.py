from typing import Any

import anthropic
import pytest

from warmcache.simulator.engine import CacheUsage
from warmcache.simulator.errors import ApiError
from warmcache.simulator.limits import Limits, RateLimiter

CALL: dict[str, Any] = {
    "model": "claude-sonnet-5-5",
    "max_tokens": 500,
    "messages": [{"role": "user", "content": "Hello"}],
}


def limiter_of(clock, **limits: int) -> RateLimiter:
    return RateLimiter(Limits(**limits), clock=clock, wall_clock=clock)


def admit(limiter: RateLimiter, **usage: int) -> ApiError | None:
    try:
        limiter.admit("model", CacheUsage(**{"input_tokens": 0, **usage}))
    except ApiError as error:
        return error
    return None


def test_requests_are_refused_once_the_bucket_is_empty_and_admitted_as_it_fills(clock):
    limiter = limiter_of(clock, requests=2)

    outcomes = [admit(limiter) for _ in range(3)]
    clock.advance(30)

    assert outcomes[:2] == [None, None]
    assert outcomes[2].status == 429
    assert outcomes[2].headers["retry-after"] == "30"
    assert admit(limiter) is None


def test_written_tokens_count_as_input_and_read_tokens_do_not(clock):
    limiter = limiter_of(clock, input_tokens=1000)

    reading = admit(limiter, input_tokens=10, cache_read_tokens=1_000_000)
    writing = admit(limiter, input_tokens=10, cache_write_5m_tokens=990)

    assert reading is None
    assert writing.status == 429


def test_output_counts_as_it_was_really_generated(clock):
    limiter = limiter_of(clock, output_tokens=600)

    limiter.count_output("model", 700)
    refused = admit(limiter)
    clock.advance(11)

    assert refused.status == 429
    assert admit(limiter) is None


def test_a_request_larger_than_the_whole_bucket_waits_for_a_full_one(clock):
    limiter = limiter_of(clock, input_tokens=1000)

    assert admit(limiter, input_tokens=5000) is None
    assert admit(limiter, input_tokens=1).status == 429


def test_models_have_buckets_of_their_own(clock):
    limiter = limiter_of(clock, requests=1)

    limiter.admit("one", CacheUsage(input_tokens=1))

    limiter.admit("two", CacheUsage(input_tokens=1))
    with pytest.raises(ApiError):
        limiter.admit("one", CacheUsage(input_tokens=1))


def test_the_headers_tell_what_remains_and_when_it_is_full_again(clock):
    limiter = limiter_of(clock, requests=4, input_tokens=10_000)

    admit(limiter, input_tokens=2600)
    headers = limiter.headers("model")

    assert headers["anthropic-ratelimit-requests-remaining"] == "3"
    assert headers["anthropic-ratelimit-requests-reset"] == "1970-01-01T00:16:55Z"
    assert headers["anthropic-ratelimit-input-tokens-remaining"] == "7000"
    assert headers["anthropic-ratelimit-output-tokens-limit"] == "400000"


async def test_a_refused_request_does_not_renew_what_it_would_have_read(serve):
    served = await serve(limits=Limits(requests=1))
    client = served.client()
    system = [{"type": "text", "text": "word " * 2000, "cache_control": {"type": "ephemeral"}}]
    await client.messages.create(**CALL, system=system)

    served.clock.advance(1)
    with pytest.raises(anthropic.RateLimitError):
        await client.messages.create(**CALL, system=system)

    (entry,) = served.simulator.engine.entries()
    assert entry.expires_at == served.clock.now - 1 + 300


async def test_a_limited_simulator_refuses_with_retry_after(serve):
    served = await serve(limits=Limits(requests=1))
    client = served.client()

    await client.messages.create(**CALL)
    with pytest.raises(anthropic.RateLimitError) as caught:
        await client.messages.create(**CALL)

    assert caught.value.response.headers["retry-after"] == "60"
    assert caught.value.response.headers["anthropic-ratelimit-requests-remaining"] == "0"
