from decimal import Decimal

from warmcache.core.economics import Rates, request_cost_usd
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


def test_the_whole_input_is_what_was_read_written_and_neither() -> None:
    usage = Usage(input_tokens=1, cache_read_tokens=20, cache_write_tokens=300, cache_write_1h_tokens=100)

    assert (usage.total_input_tokens, usage.cached_tokens) == (321, 320)
