"""What becomes of a prompt in the next request of its place."""

from dataclasses import replace

import pytest

from warmcache.core.prefix import Prefix, Prompt, Turn, build_request
from warmcache.learned import places
from warmcache.learned.places import Followed, Places
from warmcache.testing import KEY, make_prompt, make_turn

ASKED = make_prompt(system_tokens=2000, turns=1)


def asked(prompt: Prompt, text: str = "And now?") -> Prefix:
    return build_request(prompt, make_turn(text), KEY).prefix


def answered(prompt: Prompt, text: str = "And now?") -> Prompt:
    question = Turn(role="user", blocks=make_turn(text))
    return replace(prompt, history=(*prompt.history, question, Turn(role="assistant", blocks=make_turn("So."))))


def followed_by(prefix: Prefix) -> Followed:
    known = Places()
    known.note("desk", "c1", asked(ASKED), reply_tokens=70, asked_tool=False)
    followed = known.note("desk", "c1", prefix, reply_tokens=5, asked_tool=False)
    assert followed is not None
    return followed


def test_the_next_message_keeps_prompt_and_reply() -> None:
    followed = followed_by(asked(answered(ASKED), "And then?"))

    assert (followed.kept_share, followed.keeps_prompt, followed.keeps_reply) == (1.0, True, True)
    assert (followed.reply_tokens, followed.asked_tool) == (70, False)


def test_the_same_question_asked_again_keeps_the_prompt_without_its_reply() -> None:
    followed = followed_by(asked(ASKED))

    assert (followed.kept_share, followed.keeps_prompt, followed.keeps_reply) == (1.0, True, False)


def test_an_edited_message_keeps_what_stands_before_it() -> None:
    followed = followed_by(asked(ASKED, "Something else?"))

    assert 0.9 < followed.kept_share < 1.0
    assert not followed.keeps_prompt and not followed.keeps_reply


def test_the_first_request_of_a_place_and_one_without_a_place_follow_nothing() -> None:
    known = Places()

    for label, place in (("desk", "c1"), ("desk", "c2"), ("shop", "c1"), ("desk", ""), ("desk", "")):
        assert known.note(label, place, asked(ASKED), reply_tokens=1, asked_tool=False) is None


def test_only_so_many_places_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "MAX_PLACES", 2)
    known = Places()

    for place in ("c1", "c2", "c3"):
        known.note("desk", place, asked(ASKED), reply_tokens=1, asked_tool=False)

    assert known.note("desk", "c1", asked(ASKED), reply_tokens=1, asked_tool=False) is None
    assert known.note("desk", "c3", asked(ASKED), reply_tokens=1, asked_tool=False) is not None
