"""What a user can cost who types for a whole day without sending, and how much warming is left for everybody else.

Runs warmcache itself, with a fake provider and a fake clock, under a policy that finds every warm-up worth its price:
only the guards hold the typist back.
"""

import asyncio
import logging
import random
import time
from dataclasses import dataclass, field
from decimal import Decimal

from benchmarks import hostile_sockets
from warmcache import services
from warmcache.core.economics import request_cost_usd
from warmcache.core.guards import DAY_SECONDS, HOUR_SECONDS
from warmcache.core.prefix import Prompt
from warmcache.testing import FakeClock, FakeRuntime, fake_runtime, make_prompt, make_turn

CONVERSATIONS = 1000
SOCKETS = 20
FRAMES_PER_SECOND = 10
BURST_SECONDS = 10
STEP_SECONDS = 180
"""After the burst each socket types every three minutes, each time in another conversation. A refusal lasts for a pause
of at least an hour, so frames in between would be refused too. Three minutes more or less move no further probe into
the day: the next one after the last is due 31 hours after the beginning."""

EAGER = Decimal(100)
"""Dollars per saved second: high enough that every warm-up is worth it."""


@dataclass(slots=True, kw_only=True)
class Day:
    frames: int = 0
    warm_up_times: list[float] = field(default_factory=list)
    send_times: list[float] = field(default_factory=list)
    cost_usd: Decimal = Decimal(0)
    dearest_usd: Decimal = Decimal(0)

    def excess(self, seconds: float = DAY_SECONDS) -> int:
        """The largest excess of warm-ups over sends in any window of this length."""
        return max(
            (_within(self.warm_up_times, at, seconds) - _within(self.send_times, at, seconds))
            for at in [0.0, *self.warm_up_times]
        )


async def hostile_day(*, hours: float = 24, sends: int = 0) -> Day:
    """One user on 20 sockets with 1,000 conversations, at first ten frames a second each; `sends` are spread evenly."""
    clock, day = FakeClock(), Day()
    prompts = [make_prompt(name=f"chat {number}", turns=1) for number in range(CONVERSATIONS)]
    began_at, number = clock.now(), 0
    async with fake_runtime(
        clock=clock, has_database=False, value_of_second_usd=EAGER, user_daily_warm_ups=10**6, user_daily_usd=EAGER
    ) as fake:
        outlines = [services.outline(prompt) for prompt in prompts]
        while clock.now() < began_at + hours * HOUR_SECONDS:
            elapsed = clock.now() - began_at
            for socket in range(SOCKETS):
                chat = (number * SOCKETS + socket) % CONVERSATIONS
                day.frames += 1
                if await services.consider_prefix(outlines[chat], intent="typing", label="chat", subject="x") is None:
                    await _warm(prompts[chat], "x")
            while len(day.send_times) < sends * elapsed / (hours * HOUR_SECONDS):
                day.send_times.append(clock.now())
                await _send(prompts[len(day.send_times) % CONVERSATIONS], "x")
            await fake.runtime.guards.note_missed()
            number += 1
            clock.advance(1 / FRAMES_PER_SECOND if elapsed < BURST_SECONDS else STEP_SECONDS)
        _count(day, fake)
    return day


@dataclass(slots=True, kw_only=True)
class Honest:
    visits: int = 0
    sends: int = 0
    warm_sends: int = 0
    warm_ups: int = 0


async def honest_days(*, days: int, visits_a_day: int, abandoned: float, seed: int = 1) -> Honest:
    """A user who types in one cold chat after another and mostly sends: one message each time.

    This is the hardest honest user for the guards: one who sends two messages in a row earns more credit than needed.
    """
    clock, found, lot = FakeClock(), Honest(), random.Random(seed)  # noqa: S311
    async with fake_runtime(clock=clock, has_database=False, value_of_second_usd=EAGER) as fake:
        for number in range(days * visits_a_day):
            prompt = make_prompt(name=f"chat {number}", turns=1)
            found.visits += 1
            await _warm(prompt, "y")
            clock.advance(8)
            if lot.random() >= abandoned:
                found.sends += 1
                found.warm_sends += await _send(prompt, "y") == "hit"
            await fake.runtime.guards.note_missed()
            clock.advance(DAY_SECONDS / visits_a_day - 8)
        found.warm_ups = fake.provider.warm_up_count
    return found


def run() -> None:
    logging.disable(logging.CRITICAL)  # without a database every reply logs that it has no row
    for sends in (0, 24):
        began = time.perf_counter()
        day = asyncio.run(hostile_day(sends=sends))
        print(
            f"hostile typist, {SOCKETS} sockets, {CONVERSATIONS:,} conversations, 24 h, {sends} sends: "
            f"{len(day.warm_up_times)} warm-ups, ${day.cost_usd:.4f} (dearest ${day.dearest_usd:.4f}), "
            f"most above the sends in any 24 h: {day.excess()} "
            f"[{day.frames:,} frames in {time.perf_counter() - began:.1f} s]"
        )
    for visits in (10, 40):
        honest = asyncio.run(honest_days(days=5, visits_a_day=visits, abandoned=0.13))
        print(
            f"honest person, {visits} cold visits a day for 5 days, 13 % abandoned: "
            f"{honest.warm_sends} of {honest.sends} sends warm ({honest.warm_sends / honest.sends:.1%}), "
            f"{honest.warm_ups} warm-ups"
        )
    hostile_sockets.run()


async def _warm(prompt: Prompt, subject: str) -> None:
    attempt = await services.prewarm_prefix(prompt, intent="typing", label="chat", subject=subject)
    if attempt.finished is not None:
        await attempt.finished()


async def _send(prompt: Prompt, subject: str) -> str:
    async with services.stream_response(prompt, make_turn(), max_tokens=9, label="chat", subject=subject) as response:
        async for _ in response:
            pass
    return response.result.settlement.warmth


def _count(day: Day, fake: FakeRuntime) -> None:
    for sent in fake.provider.sent:
        if sent.kind != "warm_up" or sent.usage is None:
            continue
        rates = fake.runtime.rates(sent.request.prefix.model, sent.usage.total_input_tokens)
        assert rates is not None
        cost = request_cost_usd(sent.usage, rates)
        day.warm_up_times.append(sent.at)
        day.cost_usd += cost
        day.dearest_usd = max(day.dearest_usd, cost)


def _within(moments: list[float], began_at: float, seconds: float) -> int:
    return sum(began_at <= moment < began_at + seconds for moment in moments)
