import dataclasses

import pytest

from warmcache.core.catalog import KNOWN_MODELS, facts_for


@pytest.mark.parametrize(
    ("model", "minimum"),
    [
        ("claude-opus-5-5", 512),
        ("claude-sonnet-5-5", 512),
        ("claude-haiku-5-5", 512),
        ("claude-fable-5-2", 512),
        ("claude-sonnet-5", 1024),
        ("claude-opus-4-8", 1024),
        ("claude-sonnet-4-6", 1024),
        ("claude-opus-4-7", 2048),
        ("claude-opus-4-6", 4096),
        ("claude-haiku-4-5", 4096),
    ],
)
def test_each_model_has_its_documented_minimum_prefix(model: str, minimum: int) -> None:
    assert facts_for(model).min_prefix_tokens == minimum


@pytest.mark.parametrize(
    ("model", "accepted"),
    [
        ("claude-opus-5-5", {"adaptive"}),
        ("claude-fable-5-1", {"adaptive"}),
        ("claude-sonnet-5-5", {"adaptive", "between_tools"}),
        ("claude-opus-5", {"adaptive", "disabled"}),
        ("claude-haiku-5-5", {"adaptive", "disabled"}),
        ("claude-opus-4-6", {"adaptive", "disabled", "enabled"}),
        ("claude-haiku-4-5", {"enabled", "disabled"}),
    ],
)
def test_each_model_accepts_its_documented_thinking_types(model: str, accepted: set[str]) -> None:
    assert facts_for(model).thinking == accepted


def test_only_the_newest_models_refuse_a_forced_tool_choice() -> None:
    refusing = {model for model, facts in KNOWN_MODELS.items() if not facts.allows_forced_tool_choice}

    assert refusing == {
        "claude-fable-5-1",
        "claude-fable-5-2",
        "claude-mythos-5-1",
        "claude-mythos-5-2",
        "claude-opus-5-5",
        "claude-sonnet-5-5",
    }


def test_prefill_ends_with_the_4_5_generation() -> None:
    allowing = {model for model, facts in KNOWN_MODELS.items() if facts.allows_assistant_prefill}

    assert all("-4-5" in model for model in allowing)
    assert {"claude-opus-4-5", "claude-haiku-4-5", "claude-sonnet-4-5"} <= allowing


def test_thinking_is_always_on_where_nothing_turns_it_off() -> None:
    always = {model for model, facts in KNOWN_MODELS.items() if facts.always_thinks}

    assert "claude-opus-5-5" in always
    assert always.isdisjoint({"claude-sonnet-5-5", "claude-opus-5", "claude-haiku-5-5", "claude-opus-4-6"})


def test_a_dated_id_has_the_facts_of_its_short_name() -> None:
    dated = facts_for("claude-haiku-4-5-20251001")

    assert dataclasses.replace(dated, model="claude-haiku-4-5") == facts_for("claude-haiku-4-5")


def test_every_known_model_carries_its_own_id() -> None:
    assert all(facts.model == model and facts.known for model, facts in KNOWN_MODELS.items())


def test_an_unknown_model_gets_the_cautious_value_of_everything() -> None:
    facts = facts_for("claude-of-the-future")

    assert not facts.known
    assert facts.model == "claude-of-the-future"
    assert facts.min_prefix_tokens == max(known.min_prefix_tokens for known in KNOWN_MODELS.values())
    assert facts.context_tokens == min(known.context_tokens for known in KNOWN_MODELS.values())
    assert facts.thinking == frozenset()
    assert not facts.allows_forced_tool_choice
    assert not facts.allows_assistant_prefill
    assert not facts.allows_system_role
    assert not facts.always_thinks
