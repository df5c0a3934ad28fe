"""Near the expiry of what a reply left warm: one decision, a refresh only where it pays, none where somebody came."""

from dataclasses import replace

import pytest

from warmcache import services
from warmcache.core.errors import UpstreamUnavailable
from warmcache.core.prefix import Prompt, TtlChoice, Turn
from warmcache.models import WarmPolicy
from warmcache.operator_policy import PolicyWatch
from warmcache.testing import FakeClock, FakeRuntime, fake_runtime, make_prompt, make_turn

PLACE = "conversation 1"


class Host:
    """One conversation of about 30,000 tokens that answers what its next message would follow."""

    def __init__(self, fake: FakeRuntime, *, conversation_ttl: TtlChoice = "5m") -> None:
        self._fake = fake
        self.prompt: Prompt | None = make_prompt(system_tokens=30_000, turns=1, conversation_ttl=conversation_ttl)
        self.loads = 0

    def load(self) -> Prompt | None:
        self.loads += 1
        return self.prompt

    async def reply(self, *, label: str = "guide") -> services.ResponseStream:
        """A question and its answer, with the refresh scheduled as a host does it."""
        assert self.prompt is not None
        options = {"label": label, "subject": "user 1", "place": PLACE}
        async with services.stream_response(self.prompt, make_turn(), max_tokens=100, **options) as response:
            answer = [event.text async for event in response if hasattr(event, "text")]
        said = Turn(role="assistant", blocks=({"type": "text", "text": "".join(answer)},))
        asked = Turn(role="user", blocks=make_turn())
        self.prompt = replace(self.prompt, history=(*self.prompt.history, asked, said))
        services.schedule_refresh(PLACE, self.load, after=response.result, label=label, subject="user 1")
        return response

    async def pass_time(self, seconds: float) -> None:
        """Second by second near the end, as the runtime would look."""
        self._fake.clock.advance(seconds)
        for task in self._fake.runtime.timers.fire_due():
            await task


@pytest.fixture
def host(fake: FakeRuntime) -> Host:
    return Host(fake)


def people_return(fake: FakeRuntime, *, after_seconds: float | None, label: str = "guide") -> None:
    """So that the forecast of this label is sure: everybody comes back after so long, or nobody ever."""
    gaps = fake.runtime.learning.forecasts(label).after_reply
    for _ in range(400):
        if after_seconds is None:
            gaps.observe(2.0, returned=True)
            gaps.observe(80_000.0, returned=False)
        else:
            gaps.observe(after_seconds, returned=True)


def skips(fake: FakeRuntime) -> dict[str, int]:
    """Reasons of this intent."""
    return {
        reason: count
        for (_, _, intent, reason), count in fake.runtime.ledger._skips.items()
        if intent == "turn_finished"
    }


async def test_nothing_is_sent_when_a_reply_ends(fake: FakeRuntime, host: Host) -> None:
    people_return(fake, after_seconds=400)

    await host.reply()
    await host.pass_time(200)

    assert (fake.provider.warm_up_count, host.loads) == (0, 0)


async def test_near_expiry_a_refresh_is_sent_where_people_come_back(fake: FakeRuntime, host: Host) -> None:
    people_return(fake, after_seconds=400)
    await host.reply()

    await host.pass_time(271)

    call = fake.provider.sent[-1]
    assert (call.kind, host.loads) == ("warm_up", 1)
    assert call.usage is not None and call.usage.cache_read_tokens > 30_000
    fake.clock.advance(129)
    response = await host.reply()
    assert response.result.settlement.warmth == "hit"


async def test_it_is_repeated_while_the_plan_says_so(fake: FakeRuntime, host: Host) -> None:
    people_return(fake, after_seconds=500)
    await host.reply()

    for _ in range(8):
        await host.pass_time(271)

    # At 271 and 542 s of silence: the forecast's bin ends at 577 s, and after that nobody is expected.
    assert fake.provider.warm_up_count == 2
    assert skips(fake) == {"return_unlikely": 1}
    assert len(fake.runtime.timers) == 0


async def test_two_in_a_row_for_nobody_are_all_and_the_first_key_is_still_warmed(fake: FakeRuntime, host: Host) -> None:
    people_return(fake, after_seconds=1000)
    await host.reply()

    for _ in range(8):
        await host.pass_time(271)

    assert fake.provider.warm_up_count == 2
    assert skips(fake) == {"no_credit": 1}
    prompt = host.load()
    assert prompt is not None
    attempt = await services.prewarm_prefix(prompt, intent="typing", label="guide", subject="user 1")
    assert attempt.finished is not None


async def test_where_nobody_comes_back_it_lapses_and_the_prompt_is_not_even_read(fake: FakeRuntime, host: Host) -> None:
    people_return(fake, after_seconds=None)
    await host.reply()

    await host.pass_time(271)

    assert (fake.provider.warm_up_count, host.loads) == (0, 0)
    assert skips(fake) == {"return_unlikely": 1}


async def test_a_new_request_in_that_place_cancels_what_was_due(fake: FakeRuntime, host: Host) -> None:
    people_return(fake, after_seconds=400)
    await host.reply()
    fake.clock.advance(250)
    await host.reply()

    await host.pass_time(21)

    assert fake.provider.warm_up_count == 0
    assert fake.runtime.timers.due_at(f"refresh {PLACE}") == fake.clock.now() - 21 + 270


async def test_a_request_that_begins_during_the_refresh_ends_the_series(fake: FakeRuntime, host: Host) -> None:
    people_return(fake, after_seconds=400)
    await host.reply()
    fake.provider.hold_warm_ups()
    fake.clock.advance(271)
    begun = fake.runtime.timers.fire_due()
    await fake.provider.warm_ups_in_flight()

    assert host.prompt is not None
    services.stream_response(host.prompt, make_turn(), max_tokens=100, place=PLACE)
    fake.provider.release_warm_ups()
    for task in begun:
        await task

    assert len(fake.runtime.timers) == 0


async def test_a_request_cancels_the_refresh_of_a_place_whose_name_is_too_long(fake: FakeRuntime, host: Host) -> None:
    response, name = await host.reply(), "conversation " * 20
    services.schedule_refresh(name, host.load, after=response.result)
    waiting = len(fake.runtime.timers)

    assert host.prompt is not None
    services.stream_response(host.prompt, make_turn(), max_tokens=100, place=name)

    assert len(fake.runtime.timers) == waiting - 1


async def test_who_types_meanwhile_has_renewed_it_and_the_decision_waits_for_the_new_end(
    fake: FakeRuntime, host: Host
) -> None:
    people_return(fake, after_seconds=400)
    await host.reply()
    fake.clock.advance(250)
    assert host.prompt is not None
    await fake.runtime.store.record_warm({h: fake.clock.now() + 300 for h in services.outline(host.prompt).hashes})

    await host.pass_time(25)

    assert (fake.provider.warm_up_count, host.loads) == (0, 0)
    assert fake.runtime.timers.due_at(f"refresh {PLACE}") == pytest.approx(fake.clock.now() - 25 + 270)


async def test_a_place_that_is_gone_is_forgotten(fake: FakeRuntime, host: Host) -> None:
    people_return(fake, after_seconds=400)
    await host.reply()
    host.prompt = None

    await host.pass_time(271)

    assert (fake.provider.warm_up_count, len(fake.runtime.timers)) == (0, 0)


async def test_a_place_can_be_let_go(fake: FakeRuntime, host: Host) -> None:
    people_return(fake, after_seconds=400)
    await host.reply()

    services.cancel_refresh(PLACE)
    await host.pass_time(271)

    assert fake.provider.warm_up_count == 0


async def test_a_decision_that_comes_too_late_writes_nothing_anew(fake: FakeRuntime, host: Host) -> None:
    people_return(fake, after_seconds=400)
    await host.reply()

    await host.pass_time(295)

    assert fake.provider.warm_up_count == 0
    assert skips(fake) == {"lapsed": 1}


async def test_a_refresh_that_fails_is_the_last(fake: FakeRuntime, host: Host) -> None:
    people_return(fake, after_seconds=1000)
    await host.reply()
    fake.provider.fail(UpstreamUnavailable("server_error", "It is down."))

    await host.pass_time(271)

    assert len(fake.runtime.timers) == 0


async def test_an_operator_who_switches_warming_off_stops_refreshes_too(fake: FakeRuntime, host: Host) -> None:
    people_return(fake, after_seconds=400)
    await host.reply()
    fake.runtime.policy = PolicyWatch(fake.runtime.config, read=lambda: WarmPolicy(is_enabled=False))
    await fake.runtime.policy.refresh()

    await host.pass_time(271)

    assert (fake.provider.warm_up_count, host.loads) == (0, 0)
    assert skips(fake) == {"warming_off": 1}


async def test_a_reply_that_never_began_leaves_nothing_to_keep(fake: FakeRuntime, host: Host) -> None:
    fake.provider.fail(UpstreamUnavailable("server_error", "It is down."), times=9)
    assert host.prompt is not None
    with pytest.raises(UpstreamUnavailable):
        async with services.stream_response(host.prompt, make_turn(), max_tokens=9, place=PLACE) as response:
            async for _ in response:
                pass

    services.schedule_refresh(PLACE, host.load, after=response.result)

    assert len(fake.runtime.timers) == 0


class TestAnHour:
    """Where the prompt leaves open how long the conversation lives."""

    async def test_a_request_writes_for_an_hour_where_people_come_back_later(self, fake: FakeRuntime) -> None:
        people_return(fake, after_seconds=1500)
        host = Host(fake, conversation_ttl="auto")

        await host.reply()
        await host.reply()

        first, second = (call.request.prefix.breakpoints[-1].ttl_seconds for call in fake.provider.sent)
        # Most of the first one had to be written: nothing was known of this conversation.
        assert (first, second) == (300, 3600)
        assert {point.ttl_seconds for point in fake.provider.sent[-1].request.prefix.breakpoints} == {3600}

    async def test_a_refresh_writes_the_reply_for_an_hour_where_that_pays(self, fake: FakeRuntime) -> None:
        people_return(fake, after_seconds=1500)
        host = Host(fake, conversation_ttl="auto")
        await host.reply()

        await host.pass_time(271)
        for _ in range(4):
            await host.pass_time(271)

        assert fake.provider.warm_up_count == 1
        assert fake.provider.sent[-1].request.prefix.breakpoints[-1].ttl_seconds == 3600

    async def test_a_fixed_lifetime_stands(self, fake: FakeRuntime, host: Host) -> None:
        people_return(fake, after_seconds=1500)

        await host.reply()
        await host.reply()
        await host.pass_time(271)

        lives = {point.ttl_seconds for call in fake.provider.sent for point in call.request.prefix.breakpoints}
        assert lives == {300}

    @pytest.mark.django_db(transaction=True)
    async def test_what_becomes_of_prompts_is_learned(self, clock: FakeClock) -> None:
        async with fake_runtime(clock=clock, learns=True) as fake:
            host = Host(fake)
            await host.reply()
            await host.reply()

            learned = fake.runtime.learning.forecasts("guide")

        assert learned.keeps_prompt[False].total == learned.keeps_reply[False].total == learned.kept.total == 1
        assert learned.tool_use.total == 0 < learned.tool_use.count
