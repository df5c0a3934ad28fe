"""Token prices: the `genai-prices` data, which WARMCACHE["PRICES"] overrides per model."""

import functools
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

from genai_prices import Usage, __version__, calc_price
from genai_prices.types import TieredPrices

from warmcache.conf import PRICE_CLASSES, WEB_SEARCH, Config, get_config
from warmcache.core.economics import Rates, RateSource
from warmcache.core.model_names import known_names
from warmcache.core.upstreams import Upstream

PER_MILLION = Decimal(1_000_000)
PER_THOUSAND = Decimal(1000)


def price_list(config: Config) -> RateSource:
    """The prices in force under `config`."""
    return functools.partial(_rates, config)


def rates_for(model: str, input_tokens: int) -> Rates | None:
    """Rates under the current settings. See `price_list`."""
    return _rates(get_config(), model, input_tokens)


def _rates(config: Config, model: str, input_tokens: int) -> Rates | None:
    """Rates of `model` for a request of `input_tokens` in all: all of a large prompt is priced at the higher tier.

    None if the price is not known. Cached per model and tier, as one look-up takes 150 to 300 microseconds.
    """
    own = config.prices.get(model)
    if own is not None:
        searches = Decimal(own[WEB_SEARCH]) / PER_THOUSAND if WEB_SEARCH in own else _listed_web_search(model)
        per_token = {name: Decimal(own[name]) / PER_MILLION for name in PRICE_CLASSES}
        return Rates(version="own", web_search=searches, **per_token)
    listed = _listed(model)
    if listed is None:
        return _FREE if config.upstream == Upstream.LOCAL else None
    return _listed_rates(listed.name, max((start for start in listed.tier_starts if start < input_tokens), default=0))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Listed:
    name: str
    tier_starts: tuple[int, ...]


@lru_cache(maxsize=256)
def _listed(model: str) -> _Listed | None:
    """The model in the list of prices, which may have it by another cloud's name."""
    for name in known_names(model):
        try:
            found = calc_price(Usage(input_tokens=1), model_ref=name, provider_id="anthropic")
        except LookupError:
            continue
        price = found.model_price.input_mtok
        return _Listed(name=name, tier_starts=_starts_of(price))
    return None


def _starts_of(price: object) -> tuple[int, ...]:
    return tuple(tier.start for tier in price.tiers) if isinstance(price, TieredPrices) else ()


@lru_cache(maxsize=512)
def _listed_rates(model: str, tier_start: int) -> Rates:
    tokens = tier_start + 1

    def per_token(**counts: int) -> Decimal:
        usage = Usage(input_tokens=tokens, **counts)
        return calc_price(usage, model_ref=model, provider_id="anthropic").input_price / tokens

    output_price = calc_price(
        Usage(input_tokens=tokens, output_tokens=1), model_ref=model, provider_id="anthropic"
    ).output_price
    return Rates(
        input=per_token(),
        output=Decimal(output_price),
        cache_read=per_token(cache_read_tokens=tokens),
        cache_write_5m=per_token(cache_write_tokens=tokens),
        cache_write_1h=per_token(cache_write_tokens=tokens, cache_write_1h_tokens=tokens),
        version=f"genai-prices {__version__}",
        web_search=_listed_web_search(model),
    )


@lru_cache(maxsize=256)
def _listed_web_search(model: str) -> Decimal:
    """The price of one search; 0 for a model that is not listed."""
    try:
        with_search, without = (
            calc_price(Usage(input_tokens=1, web_searches=count), model_ref=model, provider_id="anthropic").total_price
            for count in (1, 0)
        )
    except LookupError:
        return Decimal(0)
    return with_search - without


_FREE = Rates(
    input=Decimal(0),
    output=Decimal(0),
    cache_read=Decimal(0),
    cache_write_5m=Decimal(0),
    cache_write_1h=Decimal(0),
    version="local",
)
