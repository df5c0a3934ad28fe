"""The WARMCACHE setting, read only here, as a typed value. Every entry has a default."""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from decimal import Decimal, InvalidOperation
from typing import Any

from django.conf import settings
from django.core.signals import setting_changed

from warmcache.core.decide import Limits
from warmcache.core.errors import ConfigurationError
from warmcache.core.intents import ON_AT_FIRST, Intent
from warmcache.core.prefix import PrefixKey
from warmcache.core.upstreams import Upstream

ANTHROPIC_BASE_URL = "https://api.anthropic.com"
PRICE_CLASSES = ("input", "output", "cache_read", "cache_write_5m", "cache_write_1h")
"""US dollars per million tokens."""
WEB_SEARCH = "web_search"
"""May stand beside them: US dollars per 1,000 searches. Without it, the listed price of the model."""
MEMORY_STORE = "warmcache.stores.memory.MemoryWarmthStore"
REDIS_STORE = "warmcache.stores.redis.RedisWarmthStore"
AT_LEAST_ONE = frozenset({"LEASE_SECONDS", "MAX_CONCURRENT_WARM_UPS", "MAX_TRIES"})
"""With 0 in any of these nothing would ever be sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """One field per entry of WARMCACHE, in lower case. Times in seconds, money in US dollars."""

    enabled: bool = True
    """The kill switch."""
    api_key: str = field(default="", repr=False)
    """Of the provider. Processes with the same key share leases and warmth."""
    base_url: str = ANTHROPIC_BASE_URL
    """Where the API is; the SDK adds `/v1/messages`."""
    upstream: Upstream = Upstream.ANTHROPIC
    """`anthropic`, `simulator` or `local`: shown to people and stored with every row."""
    accepts_zero_max_tokens: bool | None = None
    """Whether the endpoint takes `max_tokens: 0`; the Claude API does, some gateways do not. None: yes, unless `client`
    makes one of a cloud whose documents do not say so (Bedrock, Google Cloud)."""
    client: str = ""
    """Dotted path of a function without arguments that makes one of the SDK's async clients, such as
    `AsyncAnthropicFoundry` or `AsyncAnthropicVertex`; if empty, a client of the Claude API with `api_key`."""
    provider: str = ""
    """Dotted path of your own `Provider`, with a class method `from_config`; if empty, the one through the SDK."""
    redis_url: str = field(default="", repr=False)
    """Where processes share leases and warmth; without it they stay in one process and one event loop."""
    store: str = ""
    """Dotted path of your own `WarmthStore`; if empty, the one for `redis_url`, or the one in memory."""
    purse: str = ""
    """Dotted path of your own `Purse`: limits on money that warm-ups share with what else you spend."""
    secret: str = field(default="", repr=False)
    """The key of the prefix hashes; if empty, Django's SECRET_KEY."""
    prices: dict[str, dict[str, str]] = field(default_factory=dict)
    """Own prices, dollars per million tokens: {model: {input, output, cache_read, cache_write_5m, cache_write_1h}}."""

    max_cost_per_warm_up_usd: Decimal = Limits().max_cost_usd
    """A warm-up that would cost more is not sent."""
    value_of_second_usd: Decimal = Limits().value_of_second_usd
    """What one second less of waiting is worth to the operator."""
    holdout_share: float = 0.0
    """0 to 1: the share of visits held out from warming at random, so that the report can measure the effect."""
    learns: bool = True
    """Whether forecasts learn from observed events; if not, decisions always use the published priors."""
    intents: tuple[Intent, ...] = tuple(intent for intent in Intent if intent in ON_AT_FIRST)
    """The intents at which warming is considered at all."""
    user_daily_usd: Decimal = Decimal("5.00")
    """What the warm-ups for one subject may cost in a UTC day."""
    user_daily_warm_ups: int = 200
    """How many there may be."""
    daily_usd: Decimal = Decimal("50.00")
    """The same limit for all subjects together."""
    daily_warm_ups: int = 10_000
    """How many there may be."""
    keeps_shared_layers: bool = False
    """Whether shared layers are held warm between requests, if the forecast says that it pays."""

    keep_days: int = 0
    """For how many days the ledger's rows are kept, at least 8; older ones are deleted, sums stay. 0: for ever."""

    uplot: str = ""
    """The folder of uPlot's `dist` among the static files, for the plots of the dashboard; without it, only tables."""

    max_concurrent_warm_ups: int = 4
    """Concurrent warm-ups at the provider, in one process; further ones wait for their turn."""
    warm_up_timeout_seconds: float = 45.0
    """How long the call of a warm-up may take."""
    warm_up_patience_seconds: float = 45.0
    """How long a warm-up may wait for its turn, or for another one that writes a layer of its prefix."""
    pause_after_limit_seconds: float = 60.0
    """Pause of warming after the provider answered 429 or 529, or refused the key: real traffic goes first."""
    lease_seconds: float = 15.0
    """The time after which others notice that the writer of a prefix is dead. Living processes renew their leases."""
    uncacheable_seconds: float = 3600.0
    """How long a prefix stays marked after a warm-up of it returned with both cache counters 0."""

    join_bound_factor: float = 3.0
    """A request that joins a warm-up in flight waits until this many times the warm-up's expected time are over, or as
    long as going at once would be worth, whichever is later; never beyond 45 s. A tighter bound has a worse p95 than
    not joining."""

    connect_timeout_seconds: float = 5.0
    """How long a connection to the provider may take."""
    first_event_timeout_seconds: float = 45.0
    """How long a real request waits for the answer to begin."""
    idle_timeout_seconds: float = 60.0
    """Longest silence within a stream; pings do not count as activity."""
    thinking_timeout_seconds: float = 120.0
    """The same while the model thinks without showing its thinking."""
    total_timeout_seconds: float = 600.0
    """How long one attempt of a real request may take, to its last event."""
    max_tries: int = 3
    """Attempts of a real request, before its first event. A warm-up is tried once."""
    max_retry_after_seconds: float = 20.0
    """If the provider asks for a longer wait, the request fails at once."""

    @property
    def prefix_key(self) -> PrefixKey:
        fingerprint = hashlib.sha256(self.api_key.encode()).hexdigest()[:16]
        place = " ".join(filter(None, (self.base_url, fingerprint, self.client, self.provider)))
        return PrefixKey(secret=self._secret(), upstream=place)

    @property
    def store_path(self) -> str:
        return self.store or (REDIS_STORE if self.redis_url else MEMORY_STORE)

    def _secret(self) -> bytes:
        return hashlib.sha256(b"warmcache prefix hash " + (self.secret or settings.SECRET_KEY).encode()).digest()


_cached: Config | None = None


def get_config() -> Config:
    """The current configuration; raises `ConfigurationError` if an entry is unknown or invalid."""
    global _cached
    if _cached is None:
        _cached = read_config(getattr(settings, "WARMCACHE", {}))
    return _cached


def read_config(entries: Mapping[str, Any]) -> Config:
    """A `Config` from a WARMCACHE dict. An entry that is None counts as absent."""
    if not isinstance(entries, Mapping):
        raise ConfigurationError(f"WARMCACHE must be a dict, not a {type(entries).__name__}.")
    known = {f.name.upper(): f for f in fields(Config)}
    unknown = [name for name in entries if name not in known]
    if unknown:
        raise ConfigurationError(f"WARMCACHE[{unknown[0]!r}] is not an entry. Known: {', '.join(known)}.")
    values = {
        known[name].name: _converted(name, known[name].type, value)
        for name, value in entries.items()
        if value is not None
    }
    return Config(**values)


def _converted(name: str, wanted: Any, value: Any) -> Any:
    if name == "PRICES":
        return _prices(value)
    if name == "UPSTREAM":
        if value not in list(Upstream):
            raise ConfigurationError("WARMCACHE['UPSTREAM'] must be 'anthropic', 'simulator' or 'local'.")
        return Upstream(value)
    if name == "INTENTS":
        return _intents(value)
    if name == "ACCEPTS_ZERO_MAX_TOKENS":
        wanted = bool
    if wanted in (bool, str):
        if not isinstance(value, wanted):
            raise ConfigurationError(f"WARMCACHE[{name!r}] must be a {wanted.__name__}, not a {type(value).__name__}.")
        return value
    number = _number(f"WARMCACHE[{name!r}]", wanted, value)
    if name in AT_LEAST_ONE and number < 1:
        raise ConfigurationError(f"WARMCACHE[{name!r}] must be at least 1, and is {value!r}.")
    if name == "HOLDOUT_SHARE" and number > 1:
        raise ConfigurationError(f"WARMCACHE['HOLDOUT_SHARE'] must be between 0 and 1, and is {value!r}.")
    return number


def _intents(value: Any) -> tuple[Intent, ...]:
    if not isinstance(value, list | tuple | set | frozenset) or any(intent not in list(Intent) for intent in value):
        raise ConfigurationError(f"WARMCACHE['INTENTS'] must be a list of {', '.join(Intent)}, not {value!r}.")
    return tuple(intent for intent in Intent if intent in value)


def _number(entry: str, wanted: Any, value: Any) -> Any:
    try:
        number = wanted(str(value))
    except (ValueError, InvalidOperation):
        raise ConfigurationError(f"{entry} must be a number, not {value!r}.") from None
    if not math.isfinite(number):
        raise ConfigurationError(f"{entry} must be a finite number, not {value!r}.")
    if number < 0:
        raise ConfigurationError(f"{entry} must not be negative, and is {value!r}.")
    return number


def _prices(value: Any) -> dict[str, dict[str, str]]:
    """Validates prices now: otherwise a typing error in a price would show only when the first person types."""
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"WARMCACHE['PRICES'] must be a dict, not {value!r}.")
    for model, prices in value.items():
        entry = f"WARMCACHE['PRICES'][{model!r}]"
        if not isinstance(prices, Mapping) or set(prices) - {WEB_SEARCH} != set(PRICE_CLASSES):
            names = ", ".join(PRICE_CLASSES)
            raise ConfigurationError(f"{entry} must have exactly these entries: {names}; and may have {WEB_SEARCH}.")
        for name, price in prices.items():
            _number(f"{entry}[{name!r}]", Decimal, price)
    return {model: {name: str(price) for name, price in prices.items()} for model, prices in value.items()}


def _forget_config(*, setting: str, **_: Any) -> None:
    global _cached
    if setting in ("WARMCACHE", "SECRET_KEY"):
        _cached = None


setting_changed.connect(_forget_config, dispatch_uid="warmcache.conf")
