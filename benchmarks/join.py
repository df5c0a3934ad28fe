"""Time to first token of a send during a warm-up that another process leads, against what the join rule predicts.

Two real servers share one Redis and a simulator without noise. First both learn the model's speed from cold and warm
replies. Then, for several leads, one process begins a warm-up and the other sends a message one lead later.
`predicted` is what the rule expects with the learned speed: the rest of the warm-up plus one warm first token, or the
whole prefill if the rule says go. `bound` is the longest that the rule would have waited.
"""

import asyncio
import json
import tempfile
import time
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from redis import Redis

from tests.servers.chat_server import ChatServer
from tests.servers.redis_server import RedisServer
from tests.servers.tabs import calls, make_ready, open_tab
from warmcache.core.forecast.forecasts import Forecasts
from warmcache.core.forecast.prefill import PrefillForecast
from warmcache.core.worth import JoinChoice, weigh_joining

PROFILE = "2024"
LEADS_SECONDS = (0.2, 1.6, 2.0, 2.4)
TEACHING_ROUNDS = 3
EXCHANGE_SECONDS = 12.0
"""Two rounds of the servers' housekeeping: one server stores what it learned, then the other reads it."""

SPEED = "SELECT evidence FROM warmcache_learnedevidence WHERE label = '*'"
COLDS = ("warmcache-guide", "python-reference")


@dataclass(frozen=True, slots=True, kw_only=True)
class Send:
    """One send, in seconds."""

    lead_seconds: float
    warmth: str
    ttft_seconds: float
    predicted_seconds: float
    bound_seconds: float


def run() -> None:
    """Prints one line per lead."""
    with RedisServer() as redis, tempfile.TemporaryDirectory() as folder:
        learns = {"WARMCACHE_LEARNS": "1"}
        url = f"sqlite:///{folder}/db.sqlite3"
        with ChatServer(database_url=url, redis_url=redis.url, profile=PROFILE, environment=learns) as first:
            beside: dict[str, Any] = {"database_url": url, "redis_url": redis.url, "environment": learns}
            with ChatServer(**beside, beside=first) as second:
                for send in asyncio.run(_measure(first, second, redis)):
                    _print(send)


async def _measure(first: ChatServer, second: ChatServer, redis: RedisServer) -> list[Send]:
    for server in (first, second):
        await make_ready(server)
    first.simulator.script(text="Yes.", times=1000)
    for _ in range(TEACHING_ROUNDS):
        for assistant in COLDS:
            await _teach(first, redis, assistant)
    await asyncio.sleep(EXCHANGE_SECONDS)
    return [await _send(first, second, redis, lead_seconds) for lead_seconds in LEADS_SECONDS]


async def _teach(server: ChatServer, redis: RedisServer, assistant: str) -> None:
    """One cold and one warm reply."""
    _make_cold(server, redis)
    for _ in range(2):
        async with open_tab(server, assistant=assistant) as tab:
            await tab.say("What is a prompt cache?")
            await tab.until("reply.finished")


async def _send(first: ChatServer, second: ChatServer, redis: RedisServer, lead_seconds: float) -> Send:
    _make_cold(first, redis)
    before = len(calls(first))
    async with open_tab(first) as types, open_tab(second, "bob") as sends:
        await types.send("typing.started", chars=1)
        await types.until("warmth", state="warming")
        while len(calls(first)) == before:  # noqa: ASYNC110 - another process's
            await asyncio.sleep(0.005)
        warm_up = calls(first)[before]
        await asyncio.sleep(max(0.0, warm_up["arrived_at"] + lead_seconds - time.time()))
        elapsed_seconds = time.time() - warm_up["arrived_at"]
        await sends.say("What is a prompt cache?")
        finished = await sends.until("reply.finished")
    reply = calls(first)[before + 1]
    prefill = _learned(first, reply["parsed"]["model"])
    choice, warm_seconds, go_seconds = _choice(prefill, calls(first)[before]["usage"], elapsed_seconds)
    joined_seconds = go_seconds - choice.gain_seconds
    return Send(
        lead_seconds=elapsed_seconds,
        warmth=finished["warmth"],
        ttft_seconds=finished["ttft_ms"] / 1000,
        predicted_seconds=joined_seconds if choice.joins else go_seconds,
        bound_seconds=choice.bound_seconds + warm_seconds if choice.joins else go_seconds,
    )


def _make_cold(server: ChatServer, redis: RedisServer) -> None:
    """Makes the prompt cold at the provider and in the servers' beliefs."""
    with Redis.from_url(redis.url) as client:
        client.flushall()
    server.simulator.call("POST", "evict", {})


def _learned(server: ChatServer, model: str) -> PrefillForecast:
    (evidence,) = server.query(SPEED)[0]
    forecasts = Forecasts()
    forecasts.load(json.loads(evidence))
    return forecasts.prefill(model)


def _choice(prefill: PrefillForecast, wrote: dict[str, int], elapsed_seconds: float) -> tuple[JoinChoice, float, float]:
    """What the rule says, and the learned times to a warm and to a cold first token."""
    tokens = wrote["cache_creation_input_tokens"]
    warm_seconds = prefill.ttft_seconds(uncached_tokens=0, cached_tokens=tokens)
    cold_seconds = prefill.ttft_seconds(uncached_tokens=tokens)
    choice = weigh_joining(
        elapsed_seconds=elapsed_seconds,
        warm_up_seconds=cold_seconds,
        warm_seconds=warm_seconds,
        go_seconds=cold_seconds,
        cold_tokens=tokens,
        write_usd_per_token=Decimal("2.5e-6"),
        read_usd_per_token=Decimal("1e-7"),
        value_of_second_usd=Decimal("0.05"),
    )
    return choice, warm_seconds, cold_seconds


def _print(send: Send) -> None:
    off = send.ttft_seconds / send.predicted_seconds - 1
    print(
        f"  sent {send.lead_seconds:.2f} s into it: {send.warmth:<6} first token {send.ttft_seconds:.2f} s, "
        f"predicted {send.predicted_seconds:.2f} s ({off:+.0%}), bound {send.bound_seconds:.1f} s",
        flush=True,
    )
