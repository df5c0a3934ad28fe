from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from warmcache import services
from warmcache.cache.visits import MAX_VISITS, SIGN_LIFETIME_SECONDS, Visits, visit_key, visit_keys_before
from warmcache.core.intents import Sign
from warmcache.core.prefix import Prompt
from warmcache.core.reasons import Reason
from warmcache.testing import FakeClock, FakeRuntime, fake_runtime, make_prefix, make_prompt, make_turn


class Lessons:
    """Takes down what was taught: (name, sent, lead seconds)."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, bool, float]] = []

    def __call__(self, label: str, name: str, *, sent: bool, lead_seconds: float = 0.0) -> None:
        self.taken.append((name, sent, lead_seconds))


def visits_and_lessons() -> tuple[Visits, Lessons]:
    lessons = Lessons()
    return Visits(teaches=lessons), lessons


def note(visits: Visits, name: str, now: float, *, subject: str = "ann", place: str = "p") -> Any:
    return visits.note(subject, place, label="desk", sign=Sign(name), now=now)


def test_a_send_teaches_every_sign_before_it_with_its_lead() -> None:
    visits, lessons = visits_and_lessons()
    note(visits, "typing", 100)
    note(visits, "typing", 103)
    note(visits, "typing_20", 104)

    assert visits.meet("ann", ["other", "p"], 110) is not None

    assert lessons.taken == [("typing", True, 10), ("typing_20", True, 6)]


def test_a_visit_ends_with_its_send() -> None:
    visits, lessons = visits_and_lessons()
    note(visits, "typing", 100)
    visits.meet("ann", ["p"], 101)

    assert visits.meet("ann", ["p"], 102) is None
    assert len(lessons.taken) == 1


def test_a_sign_that_nothing_followed_in_time_was_no_message() -> None:
    visits, lessons = visits_and_lessons()
    note(visits, "typing", 100)

    visits.expire(100 + SIGN_LIFETIME_SECONDS - 1)
    early = list(lessons.taken)
    visits.expire(100 + SIGN_LIFETIME_SECONDS)

    assert (early, lessons.taken) == ([], [("typing", False, 0.0)])
    assert visits.meet("ann", ["p"], 401) is None


def test_a_sign_after_the_end_of_an_earlier_one_counts_anew() -> None:
    visits, lessons = visits_and_lessons()
    note(visits, "typing", 0)
    note(visits, "typing", SIGN_LIFETIME_SECONDS + 5)

    visits.meet("ann", ["p"], SIGN_LIFETIME_SECONDS + 7)

    assert lessons.taken == [("typing", False, 0.0), ("typing", True, 2)]


def test_people_and_places_are_kept_apart() -> None:
    visits, _ = visits_and_lessons()
    note(visits, "typing", 0, subject="ann", place="p")

    assert visits.meet("bob", ["p"], 1) is None
    assert visits.meet("ann", ["q"], 1) is None
    assert visits.meet("ann", ["p"], 1) is not None


def test_the_lot_is_drawn_once() -> None:
    visits, _ = visits_and_lessons()
    visit = note(visits, "typing", 0)
    draws = iter([0.2, 0.9])

    first = visit.draw(0.5, lambda: next(draws))
    again = visit.draw(0.5, lambda: next(draws))

    assert (first, again, visit.arm) == (True, True, "held_out")


def test_without_a_share_nobody_is_in_the_experiment() -> None:
    visits, _ = visits_and_lessons()
    visit = note(visits, "typing", 0)

    assert visit.draw(0.0, lambda: 0.0) is False
    assert visit.arm == ""


def test_the_first_yes_of_the_policy_is_kept() -> None:
    visits, _ = visits_and_lessons()
    visit = note(visits, "typing", 0)

    visit.note_warm("typing", Reason.COLD, {"send_chance": 0.8}, 1)
    visit.note_warm("attach", Reason.COLD, {"send_chance": 0.9}, 2)

    assert (visit.intent, visit.numbers, visit.decided_at) == ("typing", {"send_chance": 0.8}, 1)


def test_memory_is_bounded() -> None:
    visits, lessons = visits_and_lessons()
    for number in range(MAX_VISITS + 1):
        note(visits, "typing", 0, place=str(number))

    assert visits.meet("ann", ["0"], 1) is None
    assert visits.meet("ann", ["1"], 1) is not None
    assert len(lessons.taken) == 1


def test_one_request_ends_every_visit_that_it_goes_on_from() -> None:
    visits, lessons = visits_and_lessons()
    near = note(visits, "typing", 100, place="after the reply")
    note(visits, "typing", 90, place="before the reply")

    assert visits.meet("ann", ["after the reply", "before the reply"], 110) is near
    assert lessons.taken == [("typing", True, 10), ("typing", True, 20)]


def test_an_attachment_does_not_begin_another_visit() -> None:
    assert visit_key(make_prefix(turns=1, draft_tokens=2000)) == visit_key(make_prefix(turns=1))
    assert visit_key(make_prefix(draft_tokens=2000)) == visit_key(make_prefix())


def test_a_place_is_found_again_after_the_conversation_has_grown() -> None:
    begun, grown = make_prefix(turns=1), make_prefix(turns=2)

    assert visit_keys_before(grown)[0] == visit_key(grown)
    assert visit_key(begun) in visit_keys_before(grown)
    assert visit_key(make_prefix()) not in visit_keys_before(grown)
    assert visit_keys_before(make_prefix()) == (visit_key(make_prefix()),)


def test_a_prompt_of_nothing_but_an_attachment_has_a_place() -> None:
    prefix = make_prefix(system_tokens=0, draft_tokens=2000)

    assert visit_keys_before(prefix) == (visit_key(prefix),)


async def send(prompt: Prompt, purpose: str = "reply") -> None:
    async with services.stream_response(
        prompt, make_turn(), max_tokens=9, purpose=purpose, label="desk", subject="ann", place="chat"
    ) as response:
        [event async for event in response]


async def sign(prompt: Prompt, intent: str, chars: int | None = None) -> None:
    attempt = await services.prewarm_prefix(prompt, intent=intent, label="desk", subject="ann", chars=chars)
    if attempt.finished is not None:
        await attempt.finished()


def seen_of(fake: FakeRuntime, name: str) -> tuple[float, float]:
    forecast = fake.runtime.learning.forecasts("desk").intent(name)
    return round(forecast.sent, 2), round(forecast.unsent, 2)


async def test_a_new_chat_in_another_tab_is_not_what_a_message_to_a_conversation_ends() -> None:
    async with fake_runtime(clock=FakeClock(), has_database=False, learns=True) as fake:
        await sign(make_prompt(), "open")
        await sign(make_prompt(turns=1), "typing", chars=1)
        fake.clock.advance(4)

        await send(make_prompt(turns=1))
        fake.clock.advance(SIGN_LIFETIME_SECONDS)
        fake.runtime.visits.expire(fake.clock.now())

        assert seen_of(fake, "typing") == (1.0, 0.0)
        assert seen_of(fake, "open") == (0.0, 1.0)


async def test_a_tool_round_is_not_the_message_that_a_person_was_typing() -> None:
    async with fake_runtime(clock=FakeClock(), has_database=False, learns=True) as fake:
        await sign(make_prompt(turns=1), "typing", chars=1)

        await send(make_prompt(turns=1), purpose="tool_round")
        before = seen_of(fake, "typing")
        await send(make_prompt(turns=1))

        assert (before, seen_of(fake, "typing")) == ((0.0, 0.0), (1.0, 0.0))


async def test_whoever_attaches_after_the_first_key_is_one_visit_with_one_lot() -> None:
    draws = iter([0.1, 0.9])
    async with fake_runtime(clock=FakeClock(), has_database=False, learns=True, holdout_share=0.5) as fake:
        fake.runtime.random = lambda: next(draws)
        await sign(make_prompt(turns=1), "typing", chars=1)
        fake.clock.advance(2)
        await sign(make_prompt(turns=1, draft_tokens=2000), "attach")
        fake.clock.advance(4)

        await send(make_prompt(turns=1, draft_tokens=2000))

        assert fake.provider.warm_up_count == 0
        assert (seen_of(fake, "typing"), seen_of(fake, "attach")) == ((1.0, 0.0), (1.0, 0.0))


signs = st.tuples(st.sampled_from(["typing", "typing_20", "open"]), st.integers(0, 40))
sends = st.tuples(st.just("send"), st.integers(0, 400))


@given(st.lists(st.one_of(signs, sends), max_size=40))
def test_every_sign_is_taught_exactly_once(events: list[tuple[str, int]]) -> None:
    visits, lessons = visits_and_lessons()
    now, counted = 0.0, 0
    living: dict[str, float] = {}
    for name, wait in events:
        now += wait
        if name == "send":
            visits.meet("ann", ["p"], now)
            living.clear()
        else:
            note(visits, name, now)
            if name not in living or now - living[name] >= SIGN_LIFETIME_SECONDS:
                living[name] = now
                counted += 1
    visits.expire(now + SIGN_LIFETIME_SECONDS)

    assert len(lessons.taken) == counted
    assert all(0 <= lead < SIGN_LIFETIME_SECONDS for _, _, lead in lessons.taken)


def test_the_visits_of_a_forgotten_subject_are_gone_and_teach_nothing() -> None:
    visits, lessons = visits_and_lessons()
    note(visits, "typing", 100, subject="ann")
    note(visits, "typing", 100, subject="bob")

    visits.forget("ann")

    assert visits.meet("ann", ["p"], 110) is None
    assert visits.meet("bob", ["p"], 110) is not None
    assert lessons.taken == [("typing", True, 10)]
