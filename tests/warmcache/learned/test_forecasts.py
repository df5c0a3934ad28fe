"""What was learned is read at once, stored as sums, shared by processes, and survives a restart."""

from dataclasses import replace
from typing import Any

import pytest

from warmcache import services
from warmcache.background.database import in_database_thread
from warmcache.core.errors import UpstreamRefused
from warmcache.core.forecast.forecasts import Forecasts
from warmcache.core.prefix import Turn
from warmcache.core.usage import Usage
from warmcache.learned import forecasts as learnings
from warmcache.learned.forecasts import Learning
from warmcache.ledger.rows import Silence
from warmcache.ledger.writer import Ledger
from warmcache.models import LearnedEvidence, UsageRecord
from warmcache.testing import FakeClock, FakeRuntime, fake_runtime, make_prompt, make_turn

NOW = 1_800_000_000.0


class Direct(Ledger):
    """Writes on the spot, or fails as a database would."""

    def __init__(self) -> None:
        super().__init__(clock=FakeClock())
        self.is_down = False

    async def perform(self, write: Any) -> Any:
        if self.is_down:
            raise OSError("the database is down")
        return write()


def read_all(upstream: str = "simulator") -> dict[str, dict[str, Any]]:
    return dict(LearnedEvidence.objects.filter(upstream=upstream).values_list("label", "evidence"))


class TestMemory:
    def test_what_is_seen_counts_at_once(self) -> None:
        learning = Learning(upstream="simulator")
        before = learning.forecasts("desk").intent("typing").send_chance

        for _ in range(10):
            learning.saw_sign("desk", "typing", sent=False)

        assert learning.forecasts("desk").intent("typing").send_chance < before - 0.2
        assert learning.forecasts("other").intent("typing").send_chance == before

    def test_the_speed_of_a_model_is_one_for_all_labels(self) -> None:
        learning = Learning(upstream="simulator")
        learning.forecasts("desk")
        for tokens in range(1000, 40_000, 1000):
            learning.saw_call("m", Usage(input_tokens=tokens), 0.1)

        assert learning.forecasts("desk").prefill("m").saved_seconds(30_000) < 0.5
        assert learning.forecasts("new").prefill("m").saved_seconds(30_000) < 0.5

    def test_a_runtime_that_does_not_learn_keeps_the_priors(self) -> None:
        learning = Learning(upstream="simulator", is_on=False)
        learning.saw_sign("desk", "typing", sent=False)
        learning.saw_return("desk", 10, asked_tool=False)
        learning.saw_call("m", Usage(input_tokens=1000), 0.1)

        assert learning.forecasts("desk").intent("typing").sample_size == 0
        assert learning.forecasts("desk").after_reply.observed_returns == 0

    def test_labels_beyond_the_bound_are_decided_with_the_priors_and_cost_no_memory(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(learnings, "MAX_LABELS", 3)
        learning = Learning(upstream="simulator")
        for number in range(9):
            learning.saw_sign(f"user {number}", "typing", sent=False)
            learning.saw_return(f"user {number}", 10, asked_tool=False)
            learning.saw_arrival(f"user {number}", 10)
        fresh = set(learning._fresh)
        learning._take({f"stored {number}": {} for number in range(9)})

        assert fresh == {"user 0", "user 1", "user 2"}
        assert len(learning._known) == 3
        assert learning.forecasts("user 8").intent("typing").sample_size == 0


@pytest.mark.django_db
class TestSharing:
    def test_two_processes_add_up_and_see_each_other(self) -> None:
        one, two, ledger = Learning(upstream="simulator"), Learning(upstream="simulator"), Direct()
        one.saw_sign("desk", "typing", sent=True, lead_seconds=4)
        two.saw_sign("desk", "typing", sent=False)
        two.saw_call("m", Usage(input_tokens=1000), 1.0)

        run(one, ledger)
        run(two, ledger)
        run(one, ledger)

        for learning in (one, two):
            typing = learning.forecasts("desk").intent("typing")
            assert (round(typing.sent, 2), round(typing.unsent, 2)) == (1.0, 1.0)
            assert learning.forecasts("desk").prefill("m").observed_calls == 1.0

    def test_it_survives_a_restart(self) -> None:
        before = Learning(upstream="simulator")
        for _ in range(5):
            before.saw_sign("desk", "typing", sent=False)
        before.saw_return("desk", 42.0, asked_tool=False)
        run(before, Direct())

        after = Learning(upstream="simulator")
        run(after, Direct())

        typing = after.forecasts("desk").intent("typing")
        assert typing.send_chance == pytest.approx(before.forecasts("desk").intent("typing").send_chance)
        assert after.forecasts("desk").after_reply.observed_returns == 1

    def test_a_database_that_is_down_loses_nothing(self) -> None:
        learning, ledger = Learning(upstream="simulator"), Direct()
        learning.saw_sign("desk", "typing", sent=True, lead_seconds=1)
        ledger.is_down = True
        run(learning, ledger)
        learning.saw_sign("desk", "typing", sent=True, lead_seconds=1)
        ledger.is_down = False
        run(learning, ledger)

        stored = Forecasts()
        stored.load(read_all()["desk"])
        assert stored.intent("typing").sent == pytest.approx(2, abs=0.01)

    def test_a_simulator_teaches_nothing_about_the_real_api(self) -> None:
        simulated = Learning(upstream="simulator")
        simulated.saw_call("m", Usage(input_tokens=1000), 0.0)
        run(simulated, Direct())

        real = Learning(upstream="anthropic")
        run(real, Direct())

        assert real.forecasts("desk").prefill("m").observed_calls == 0

    def test_no_content_is_stored(self) -> None:
        learning = Learning(upstream="simulator")
        learning.saw_sign("desk", "typing", sent=True, lead_seconds=1)
        learning.saw_return("desk", 5, asked_tool=True)
        run(learning, Direct())

        assert set(numbers_and_names(read_all()["desk"])) <= {
            *("intents", "typing", "sent", "unsent", "leads", "after_reply", "after_tool_use", "returns", "silence"),
            *("arrivals", "kept", "tool_use", "total", "count", "prefills", "histories", "sizes", "reply_tokens"),
            *(f"keeps_{what}_after_{kind}" for what in ("prompt", "reply") for kind in ("reply", "tool_use")),
        }


def numbers_and_names(value: Any) -> list[str]:
    """Every key of a nested value; all leaves must be numbers."""
    if isinstance(value, dict):
        return [name for key, inner in value.items() for name in (key, *numbers_and_names(inner))]
    if isinstance(value, list):
        return [name for inner in value for name in numbers_and_names(inner)]
    assert isinstance(value, int | float)
    return []


def run(learning: Learning, ledger: Direct) -> None:
    """Exchanges on the test's own thread, where its transaction is: with a ledger that writes at once nothing waits."""
    exchanging = learning.exchange(ledger.perform, NOW)
    with pytest.raises(StopIteration):
        exchanging.send(None)


async def exchange(fake: FakeRuntime) -> None:
    """As housekeeping does; a sign first, so that the label has a row."""
    fake.runtime.learning.saw_sign("", "typing", sent=False)
    await fake.runtime.learning.exchange(fake.runtime.ledger.perform, fake.clock.now())


def silence_of(fake: FakeRuntime) -> float:
    """The seconds of silence in the evidence."""
    return sum(fake.runtime.learning.forecasts("").after_reply.to_dict()["silence"])


@pytest.mark.django_db(transaction=True)
class TestFromTheLedger:
    async def reply(self, prompt: Any, text: str) -> Any:
        async with services.stream_response(prompt, make_turn(text), max_tokens=10, subject="ann") as response:
            async for _ in response:
                pass
        return response.result

    async def test_the_pause_before_the_next_message_is_learned_from_the_rows(self, clock: FakeClock) -> None:
        async with fake_runtime(clock=clock, learns=True) as fake:
            first = make_prompt(turns=1)
            await self.reply(first, "And now?")
            clock.advance(77)
            grown = replace(
                first,
                history=(
                    *first.history,
                    Turn(role="user", blocks=make_turn("And now?")),
                    Turn(role="assistant", blocks=make_turn("So.")),
                ),
            )
            result = await self.reply(grown, "And then?")

            assert result.settlement.silence == Silence(seconds=77, asked_tool=False)
            assert fake.runtime.learning.forecasts("").after_reply.observed_returns == 1
            rows = await in_database_thread(lambda: list(UsageRecord.objects.order_by("started_at")))
            assert [row.followed_at for row in rows] == [rows[1].started_at, None]

    async def test_a_silence_is_told_while_it_goes_on_and_each_part_once(self, clock: FakeClock) -> None:
        async with fake_runtime(clock=clock, learns=True) as fake:
            await exchange(fake)
            await self.reply(make_prompt(turns=1), "Bye")
            told = []
            for _ in range(3):
                clock.advance(280)
                await exchange(fake)
                await exchange(fake)
                told.append(silence_of(fake))

            assert told == pytest.approx([270, 540, 810])
            assert fake.runtime.learning.forecasts("").after_reply.observed_returns == 0

    async def test_what_was_told_of_a_silence_is_not_told_again_by_the_return(self, clock: FakeClock) -> None:
        async with fake_runtime(clock=clock, learns=True) as fake:
            await exchange(fake)
            first = make_prompt(turns=1)
            await self.reply(first, "And now?")
            clock.advance(275)
            for part in (0, 1):  # told of before the return, or only after it: the sum is the same
                await exchange(fake) if part == 0 else clock.advance(280)
            await self.reply(first, "And now?")
            await exchange(fake)

            assert silence_of(fake) == pytest.approx(555, rel=0.001)
            assert fake.runtime.learning.forecasts("").after_reply.observed_returns == 1

    async def test_titles_and_failures_are_no_replies_that_nobody_came_back_to(self, clock: FakeClock) -> None:
        async with fake_runtime(clock=clock, learns=True) as fake:
            await exchange(fake)
            await self.reply(make_prompt(name="left", turns=1), "Hello?")
            clock.advance(5)
            async with services.stream_response(
                make_prompt(name="title", turns=1), make_turn("Name it"), max_tokens=9, purpose="title", subject="ann"
            ) as title:
                [event async for event in title]
            fake.provider.fail(UpstreamRefused("request_refused", "no"))
            with pytest.raises(UpstreamRefused):
                await self.reply(make_prompt(name="refused", turns=1), "Hello?")
            clock.advance(300)
            await exchange(fake)

            assert silence_of(fake) == pytest.approx(270)
            assert title.result is not None
            assert title.result.settlement.arrival_seconds is None

    async def test_of_two_processes_one_tells_a_silence_and_both_know_of_it(self, clock: FakeClock) -> None:
        async with fake_runtime(clock=clock, learns=True) as fake:
            await exchange(fake)
            for number in range(3):
                await self.reply(make_prompt(name=str(number), turns=1), "Hello?")
            other = Learning(upstream="simulator")
            clock.advance(300)
            for learning in (fake.runtime.learning, other, fake.runtime.learning):
                await learning.exchange(fake.runtime.ledger.perform, clock.now())

            assert silence_of(fake) == pytest.approx(3 * 270)
            assert (
                other.forecasts("").after_reply.to_dict() == fake.runtime.learning.forecasts("").after_reply.to_dict()
            )

    async def test_a_visit_that_was_held_out_is_told_from_one_that_was_warmed(self, clock: FakeClock) -> None:
        async with fake_runtime(clock=clock, holdout_share=0.5) as fake:
            draws = iter([0.1, 0.9])
            fake.runtime.random = lambda: next(draws)
            for name in ("held", "warmed"):
                prompt = make_prompt(name=name, turns=1, system_tokens=0)
                attempt = await services.prewarm_prefix(prompt, intent="typing", subject="ann")
                if attempt.finished is not None:
                    await attempt.finished()
                clock.advance(3)
                await self.reply(prompt, "Well?")

            rows = await in_database_thread(lambda: list(UsageRecord.objects.order_by("started_at")))
            assert [(row.arm, row.warmth, row.intent, row.lead_ms) for row in rows] == [
                ("held_out", "held_out", "typing", 3000),
                ("treated", "hit", "typing", 3000),
            ]
            assert fake.provider.warm_up_count == 1
            assert all(row.numbers["send_chance"] == pytest.approx(0.85 * 0.95, abs=1e-4) for row in rows)

    async def test_messages_and_silences_teach_the_chance_of_a_send(self, clock: FakeClock) -> None:
        async with fake_runtime(clock=clock, learns=True) as fake:
            sent = make_prompt(name="sent", turns=1)
            await services.prewarm_prefix(sent, intent="typing", label="desk", subject="ann", chars=3)
            clock.advance(6)
            await services.prewarm_prefix(sent, intent="typing", label="desk", subject="ann", chars=24)
            clock.advance(4)
            await self.reply(sent, "Here")
            dropped = make_prompt(name="dropped", turns=1)
            await services.prewarm_prefix(dropped, intent="typing", label="desk", subject="ann", chars=3)
            clock.advance(301)
            fake.runtime.visits.expire(clock.now())

            typing = fake.runtime.learning.forecasts("desk").intent("typing")
            surer = fake.runtime.learning.forecasts("desk").intent("typing_20")
            assert (round(typing.sent, 1), round(typing.unsent, 1)) == (1.0, 1.0)
            assert (round(surer.sent, 1), round(surer.unsent, 1)) == (1.0, 0.0)
