"""Estimates of tokens are corrected by bills: per model and kind of text, and exactly for what was billed itself."""

from dataclasses import replace

import pytest

from benchmarks import tokens
from warmcache.core.estimates import NO_SIZE, text_size
from warmcache.core.forecast.forecasts import Forecasts
from warmcache.core.prefix import Prefix, Turn, prepare
from warmcache.core.usage import Usage
from warmcache.learned import bills
from warmcache.learned.forecasts import Learning
from warmcache.testing import KEY, make_prefix, make_prompt

ENOUGH = 0.05


def written(tokens: int) -> Usage:
    return Usage(cache_write_tokens=tokens)


def said(text: str) -> Turn:
    return Turn(role="user", blocks=({"type": "text", "text": text},))


def bill(learning: Learning, prefix: Prefix, tokens: int, *, label: str = "desk") -> None:
    learning.saw_bill(label, prefix, written(tokens))


def other_prose(number: int) -> Prefix:
    text = f"Chapter {number} of a book. " * 500
    return make_prefix(replace(make_prompt(system_tokens=0), system=({"type": "text", "text": text},)))


async def test_the_tenth_estimate_is_within_five_percent_for_each_kind_of_text_and_unknown_tokenizer() -> None:
    for errors in await tokens.measured():
        assert abs(errors.shares[-1]) < ENOUGH, errors


class TestOnePrefix:
    def test_what_a_prefix_was_billed_is_exact_for_it(self) -> None:
        learning, prefix = Learning(upstream="simulator"), make_prefix(system_tokens=5000)

        bill(learning, prefix, 3456)

        assert learning.sized("desk", prefix).prefix_tokens == 3456

    def test_what_grows_from_it_is_estimated_from_there_on(self) -> None:
        learning, prompt = Learning(upstream="simulator"), make_prompt(system_tokens=5000)
        bill(learning, make_prefix(prompt), 3456)
        grown = make_prefix(replace(prompt, history=(said("And then? " * 10),)))

        sized = learning.sized("desk", grown)

        assert sized.breakpoints[0].prefix_tokens == 3456
        assert 3456 + 20 < sized.prefix_tokens < 3456 + 50

    def test_what_is_expected_of_a_prompt_is_its_bill_and_of_what_follows_what_bills_let_expect(self) -> None:
        learning, prompt = Learning(upstream="simulator"), make_prompt(system_tokens=5000)
        prepared = prepare(prompt, KEY)
        before = learning.expected_tokens("desk", prompt.model, prepared.last_positions, NO_SIZE)
        bill(learning, make_prefix(prompt), 3456)

        after = learning.expected_tokens("desk", prompt.model, prepared.last_positions, NO_SIZE)
        grown = learning.expected_tokens("desk", prompt.model, prepared.last_positions, text_size("And then? " * 10))

        assert (before, after) == (make_prefix(prompt).prefix_tokens, 3456)
        assert 3456 + 15 < grown < 3456 + 50

    def test_where_nothing_is_learned_the_published_ratios_are_expected(self) -> None:
        learning, prompt = Learning(upstream="simulator", is_on=False), make_prompt(system_tokens=5000)
        bill(learning, make_prefix(prompt), 3456)
        positions = prepare(prompt, KEY).last_positions

        assert learning.expected_tokens("desk", prompt.model, positions, NO_SIZE) == make_prefix(prompt).prefix_tokens

    def test_a_part_before_what_was_billed_is_stretched_to_fit(self) -> None:
        learning = Learning(upstream="simulator")
        prefix = make_prefix(replace(make_prompt(system_tokens=4000), history=(said("Word " * 2000),)))

        bill(learning, prefix, prefix.prefix_tokens // 2)
        sized = learning.sized("desk", prefix)

        assert sized.prefix_tokens == prefix.prefix_tokens // 2
        assert sized.breakpoints[0].prefix_tokens == pytest.approx(prefix.breakpoints[0].prefix_tokens / 2, rel=0.01)

    def test_a_bill_of_something_else_teaches_nothing(self) -> None:
        learning, prefix = Learning(upstream="simulator"), make_prefix(system_tokens=5000)

        bill(learning, prefix, 90_000)
        bill(learning, prefix, 12)

        assert learning.sized("desk", prefix) == prefix

    def test_a_process_that_does_not_learn_estimates_by_the_priors(self) -> None:
        learning, prefix = Learning(upstream="simulator", is_on=False), make_prefix(system_tokens=5000)

        bill(learning, prefix, 3456)

        assert learning.sized("desk", prefix) == prefix
        assert learning.has_count(prefix)

    def test_only_so_many_are_remembered(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(bills, "MAX_BILLED", 2)
        learning = Learning(upstream="simulator")
        prefixes = [other_prose(number) for number in range(3)]

        for prefix in prefixes:
            bill(learning, prefix, 3000)

        assert [learning.has_count(prefix) for prefix in prefixes] == [False, True, True]


class TestLabels:
    def test_a_label_learns_its_own_ratio_and_a_new_one_begins_with_that_of_all(self) -> None:
        learning = Learning(upstream="simulator")
        before = other_prose(99).prefix_tokens
        for number in range(20, 28):
            bill(learning, other_prose(number), round(0.6 * before), label="desk")

        assert learning.sized("desk", other_prose(99)).prefix_tokens == pytest.approx(0.6 * before, rel=0.03)
        assert learning.sized("new", other_prose(99)).prefix_tokens == pytest.approx(0.6 * before, rel=0.03)

    def test_labels_that_differ_do_not_disturb_each_other_for_long(self) -> None:
        learning = Learning(upstream="simulator")
        before = other_prose(99).prefix_tokens
        for number in range(20, 28):
            bill(learning, other_prose(number), round(0.6 * before), label="desk")
        for number in range(10, 18):
            bill(learning, other_prose(number), round(0.9 * before), label="shop")

        assert learning.sized("desk", other_prose(99)).prefix_tokens == pytest.approx(0.6 * before, rel=0.05)
        assert learning.sized("shop", other_prose(99)).prefix_tokens == pytest.approx(0.9 * before, rel=0.05)


def test_evidence_of_two_processes_adds_up_to_that_of_one() -> None:
    prefixes, together = [other_prose(number) for number in range(6)], Learning(upstream="simulator")
    apart = [Learning(upstream="simulator") for _ in range(2)]
    for number, prefix in enumerate(prefixes):
        bill(together, prefix, 3000)
        bill(apart[number % 2], prefix, 3000)
    model = prefixes[0].model
    merged = Forecasts()
    for learning in apart:
        merged.merge(learning.forecasts("desk"))

    of_one = together.forecasts("desk").size(model).coefficients()

    assert merged.size(model).coefficients() == pytest.approx(of_one, rel=0.01, abs=0.01)
