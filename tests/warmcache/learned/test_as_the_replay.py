"""An hour of traffic through the app's own path, and through the replay: both come to believe the same."""

import heapq
import random
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from tests.warmcache.replay.traffic import MODEL, conversation, rates, replay, request, scene, typing
from warmcache import services
from warmcache.core.forecast.forecasts import Forecasts
from warmcache.core.intents import Sign
from warmcache.core.prefix import Prompt, Turn
from warmcache.replay.learned import Ours
from warmcache.replay.policies import Never
from warmcache.replay.scenes import Scene
from warmcache.testing import FakeClock, FakeRuntime, fake_runtime, make_prompt, make_turn

pytestmark = pytest.mark.any_database

HOUR_SECONDS = 3600
CONVERSATIONS = 30
HOUSEKEEPING_SECONDS = 30
LEAD_SECONDS = 6.0


class Listener(Ours):
    """The app hears of no end of a trace."""

    def saw_open_end(self, *, asked_tool: bool, seconds: float, tokens: int = 0) -> None:
        pass


class Listens(Never):
    """Warms nothing, but its teacher hears of the first keys."""

    hears = frozenset({Sign.TYPING})


def an_hour() -> Scene:
    """People of whom half come back, most of them soon; each message is typed for six seconds."""
    draw = random.Random(7)  # noqa: S311 - the same each time
    parts = []
    for number in range(CONVERSATIONS):
        at, requests, tokens = draw.uniform(20, 0.6 * HOUR_SECONDS), [], 5000
        while at < HOUR_SECONDS and (not requests or draw.random() < 0.6):
            requests.append(request(at, tokens, 0 if not requests else tokens - 600, output_tokens=500))
            at, tokens = at + 20 + draw.expovariate(1 / 300), tokens + 600
        talk = conversation(*requests, name=f"c{number}", silent_for=HOUR_SECONDS - requests[-1].at)
        parts.append((talk, [typing(each.at - LEAD_SECONDS, n - 1) for n, each in enumerate(requests)]))
    return scene(*parts)


def believed_by_the_replay(played: Scene) -> Forecasts:
    learner = Listener(model=MODEL, rates=rates, value_of_second_usd=Decimal("0.05"), has_common_clock=True)
    replay(played, Listens(), learner=learner)
    return learner.forecasts


async def believed_by_the_app(played: Scene, fake: FakeRuntime) -> Forecasts:
    began = fake.clock.now()
    prompts = [make_prompt(name=str(number), turns=0) for number in range(CONVERSATIONS)]
    events: list[tuple[float, str, int]] = [
        (at, "housekeeping", 0) for at in range(0, HOUR_SECONDS + 1, HOUSEKEEPING_SECONDS)
    ]
    for number, talk in enumerate(played.conversations):
        for each in talk.requests:
            events += [(each.at - LEAD_SECONDS, "typing", number), (each.at, "message", number)]
    heapq.heapify(events)
    while events:
        at, what, number = heapq.heappop(events)
        fake.clock.advance(began + at - fake.clock.now())
        if what == "housekeeping":
            await fake.runtime._learn()
        elif what == "typing":
            prefix = services.outline(prompts[number])
            await services.consider_prefix(prefix, intent="typing", subject=str(number))
        else:
            prompts[number] = await _said(prompts[number], subject=str(number))
    return fake.runtime.learning.forecasts("")


async def _said(prompt: Prompt, **origin: Any) -> Prompt:
    """The prompt that the next message follows."""
    async with services.stream_response(prompt, make_turn("And?"), max_tokens=10, **origin) as response:
        async for _ in response:
            pass
    asked, answered = Turn(role="user", blocks=make_turn("And?")), Turn(role="assistant", blocks=make_turn("So."))
    return replace(prompt, history=(*prompt.history, asked, answered))


@pytest.mark.django_db(transaction=True)
async def test_the_app_comes_to_believe_what_the_replay_does(clock: FakeClock) -> None:
    played = an_hour()
    replayed = believed_by_the_replay(played)

    async with fake_runtime(clock=clock, learns=True) as fake:
        lived = await believed_by_the_app(played, fake)

    for theirs, ours in ((replayed.after_reply, lived.after_reply), (replayed.arrivals, lived.arrivals)):
        assert ours.observed_returns == pytest.approx(theirs.observed_returns, rel=0.002)
        assert ours.to_dict()["returns"] == pytest.approx(theirs.to_dict()["returns"], rel=0.01)
        assert ours.to_dict()["silence"] == pytest.approx(theirs.to_dict()["silence"], rel=0.01)
    for seconds in (30, 270, 540, 1200, 3000):
        assert lived.after_reply.survival(seconds) == pytest.approx(replayed.after_reply.survival(seconds), rel=0.005)
    told = replayed.intent("typing")
    assert lived.intent("typing").sent == pytest.approx(told.sent, rel=0.002)
    assert lived.intent("typing").send_chance == pytest.approx(told.send_chance, rel=0.002)
    assert replayed.after_reply.is_representative
