"""Against the price list as the provider publishes it, in dollars per million tokens, worked out by hand."""

from decimal import Decimal

import pytest

from warmcache.conf import Config, read_config
from warmcache.core.economics import request_cost_usd
from warmcache.core.usage import Usage
from warmcache.upstream.prices import price_list, rates_for

LISTED = price_list(Config())

# model, input tokens of the request: input, output, read, 5 min write, 1 h write
PUBLISHED = [
    ("claude-sonnet-5-5", 1000, "2", "10", "0.10", "2.50", "4"),
    ("claude-sonnet-5-5", 500_000, "2", "10", "0.10", "2.50", "4"),
    ("claude-opus-5-5", 1000, "4", "20", "0.20", "5", "8"),
    ("claude-haiku-5-5", 1000, "0.10", "0.50", "0.01", "0.125", "0.20"),
    ("claude-haiku-5-5", 100_000, "0.10", "0.50", "0.01", "0.125", "0.20"),
    ("claude-haiku-5-5", 100_001, "0.50", "2.50", "0.05", "0.625", "1.00"),
    ("claude-haiku-4-5", 1000, "1", "5", "0.10", "1.25", "2"),
    ("claude-fable-5-2", 1000, "8", "40", "0.20", "10", "16"),
]


@pytest.mark.parametrize(("model", "tokens", "input_", "output", "read", "write", "write_1h"), PUBLISHED)
def test_a_model_costs_what_the_price_list_says(
    model: str, tokens: int, input_: str, output: str, read: str, write: str, write_1h: str
) -> None:
    rates = LISTED(model, tokens)

    assert rates is not None
    found = (rates.input, rates.output, rates.cache_read, rates.cache_write_5m, rates.cache_write_1h)
    assert [price * 10**6 for price in found] == [Decimal(text) for text in (input_, output, read, write, write_1h)]


@pytest.mark.parametrize(
    ("model", "usage", "dollars"),
    [
        # 20 000 written for 5 min at 2.50, 8 of input at 2
        ("claude-sonnet-5-5", Usage(input_tokens=8, cache_write_tokens=20_000), "0.050016"),
        # 80 000 written, 60 000 of them for an hour: 60 000 at 8 and 20 000 at 5
        ("claude-opus-5-5", Usage(cache_write_tokens=80_000, cache_write_1h_tokens=60_000), "0.58"),
        # 90 000 read at 0.01, 1000 of input at 0.10, 400 of output at 0.50
        ("claude-haiku-5-5", Usage(input_tokens=1000, cache_read_tokens=90_000, output_tokens=400), "0.0012"),
        # the same with 110 000 read: the whole request at the higher tier
        ("claude-haiku-5-5", Usage(input_tokens=1000, cache_read_tokens=110_000, output_tokens=400), "0.007"),
    ],
)
def test_a_request_costs_what_a_person_would_calculate(model: str, usage: Usage, dollars: str) -> None:
    rates = LISTED(model, usage.total_input_tokens)

    assert rates is not None
    assert request_cost_usd(usage, rates) == Decimal(dollars)


@pytest.mark.parametrize("model", ["claude-unheard-of-9", "gpt-5", "", "my-claude-opus-5-5"])
def test_a_model_that_is_not_listed_has_no_price_rather_than_a_similar_one(model: str) -> None:
    assert LISTED(model, 1000) is None


def test_own_prices_come_first_and_say_so() -> None:
    own = {"input": "1", "output": "2", "cache_read": "0.5", "cache_write_5m": "3", "cache_write_1h": 4}
    rates = price_list(read_config({"PRICES": {"claude-opus-5-5": own}}))("claude-opus-5-5", 1000)

    assert rates is not None
    assert (rates.version, rates.cache_write_1h) == ("own", Decimal("0.000004"))


def test_a_local_model_is_free() -> None:
    rates = price_list(Config(upstream="local"))("anything", 1000)

    assert rates is not None
    assert request_cost_usd(Usage(input_tokens=1000, output_tokens=1000), rates) == 0


def test_the_version_of_the_price_list_is_kept() -> None:
    rates = LISTED("claude-opus-5-5", 1000)

    assert rates is not None
    assert rates.version.startswith("genai-prices ")


def test_the_current_settings_are_what_counts_without_a_runtime(settings: pytest.FixtureRequest) -> None:
    settings.WARMCACHE = {"UPSTREAM": "local"}  # type: ignore[attr-defined]
    free = rates_for("smollm2-135m", 10)
    settings.WARMCACHE = {"UPSTREAM": "simulator"}  # type: ignore[attr-defined]
    listed = rates_for("claude-opus-5-5", 10)

    assert free is not None
    assert listed is not None
    assert (free.input, listed.input) == (0, Decimal("0.000004"))


@pytest.mark.parametrize("model", ["claude-haiku-5-5", "claude-sonnet-5-5", "claude-opus-5-5"])
def test_each_web_search_is_billed_at_its_listed_price(model: str) -> None:
    rates = rates_for(model, 1000)
    assert rates is not None

    without = request_cost_usd(Usage(input_tokens=1000), rates)
    searched = request_cost_usd(Usage(input_tokens=1000, web_searches=3, web_fetches=5), rates)

    assert searched - without == Decimal("0.03"), "10 dollars per 1,000 searches; a fetched page costs its tokens"


def test_own_prices_may_name_that_of_a_search_and_else_the_list_does() -> None:
    own = {"input": 1, "output": 2, "cache_read": 0.5, "cache_write_5m": 3, "cache_write_1h": 4}
    prices = {"claude-opus-5-5": own, "claude-sonnet-5-5": {**own, "web_search": 25}, "of-our-own": own}

    rates = price_list(read_config({"PRICES": prices}))

    searches = [found.web_search for model in prices if (found := rates(model, 1000)) is not None]
    assert searches == [Decimal("0.01"), Decimal("0.025"), Decimal(0)]
