from decimal import Decimal

from warmcache.core.economics import Rates, request_cost_usd, warm_up_cost_usd
from warmcache.core.usage import Usage

SONNET = Rates(
    input=Decimal("2") / 10**6,
    output=Decimal("10") / 10**6,
    cache_read=Decimal("0.10") / 10**6,
    cache_write_5m=Decimal("2.50") / 10**6,
    cache_write_1h=Decimal("4") / 10**6,
    version="by hand",
)


def test_a_request_costs_each_class_of_token_at_its_own_price() -> None:
    usage = Usage(
        input_tokens=1000,
        cache_read_tokens=50_000,
        cache_write_tokens=3000,
        cache_write_1h_tokens=2000,
        output_tokens=500,
    )

    # 0.002 + 0.005 + 1000 * 2.5e-6 + 2000 * 4e-6 + 0.005
    assert request_cost_usd(usage, SONNET) == Decimal("0.0225")


def test_a_request_of_nothing_costs_nothing() -> None:
    assert request_cost_usd(Usage(), SONNET) == 0


def test_a_warm_up_pays_a_write_for_the_cold_and_a_read_for_the_hot_part() -> None:
    cost = warm_up_cost_usd(hot_tokens=10_000, cold_tokens_by_ttl={300: 4000, 3600: 1000}, rates=SONNET)

    # 10 000 * 1e-7 + 4000 * 2.5e-6 + 1000 * 4e-6
    assert cost == Decimal("0.015")


def test_a_warm_up_of_what_is_hot_costs_the_read() -> None:
    assert warm_up_cost_usd(hot_tokens=20_000, cold_tokens_by_ttl={}, rates=SONNET) == Decimal("0.002")


def test_the_whole_input_is_what_was_read_written_and_neither() -> None:
    usage = Usage(input_tokens=1, cache_read_tokens=20, cache_write_tokens=300, cache_write_1h_tokens=100)

    assert (usage.total_input_tokens, usage.cached_tokens) == (321, 320)
