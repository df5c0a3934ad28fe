"""Rate limits: token buckets per model for requests, input and output tokens, and the headers that report them."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from math import ceil

from warmcache.simulator.engine import CacheUsage
from warmcache.simulator.errors import ApiError

_MINUTE = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits per minute; None if none is enforced (the headers then show the provider's usual figure)."""

    requests: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None


_USUAL = {"requests": 1_000, "input-tokens": 2_000_000, "output-tokens": 400_000}


class Bucket:
    """Fills continuously up to `capacity` within a minute. May become negative: output is known only afterwards."""

    def __init__(self, capacity: int, now: float) -> None:
        self.capacity = capacity
        self._level = float(capacity)
        self._at = now

    def level(self, now: float) -> float:
        """What is left at `now`."""
        self._level = min(self.capacity, self._level + (now - self._at) * self.capacity / _MINUTE)
        self._at = now
        return self._level

    def take(self, amount: float, now: float) -> None:
        """Uses `amount`."""
        self._level = self.level(now) - amount

    def wait_seconds(self, amount: float, now: float) -> float:
        """How long until `amount` fits; 0 if it fits now. An amount over the capacity waits for a full bucket."""
        missing = min(amount, self.capacity) - self.level(now)
        return max(0.0, missing * _MINUTE / self.capacity)


class RateLimiter:
    """The buckets of one organisation."""

    def __init__(self, limits: Limits, *, clock: Callable[[], float], wall_clock: Callable[[], float]) -> None:
        self._enforced = {
            name: limit
            for name, limit in (
                ("requests", limits.requests),
                ("input-tokens", limits.input_tokens),
                ("output-tokens", limits.output_tokens),
            )
            if limit is not None
        }
        self._clock = clock
        self._wall_clock = wall_clock
        self.reset()

    def reset(self) -> None:
        """Fills every bucket."""
        self._buckets: dict[tuple[str, str], Bucket] = {}

    def admit(self, model: str, usage: CacheUsage) -> None:
        """Counts a request; raises a 429 with `retry-after` if it does not fit. Cache reads do not count as input."""
        now = self._clock()
        needed = {
            "requests": 1,
            "input-tokens": usage.total_tokens - usage.cache_read_tokens,
            "output-tokens": 1,
        }
        for name, limit in self._enforced.items():
            wait = self._bucket(model, name).wait_seconds(needed[name], now)
            if wait > 0:
                raise ApiError(
                    429,
                    f"This request would exceed your organization's rate limit of {limit:,} "
                    f"{name.replace('-', ' ')} per minute (model: {model}).",
                    headers={"retry-after": str(ceil(wait)), **self.headers(model)},
                )
        for name in self._enforced:
            if name != "output-tokens":
                self._bucket(model, name).take(needed[name], now)

    def count_output(self, model: str, output_tokens: int) -> None:
        """Counts tokens that were really generated."""
        if "output-tokens" in self._enforced:
            self._bucket(model, "output-tokens").take(output_tokens, self._clock())

    def headers(self, model: str) -> dict[str, str]:
        """The rate-limit headers of a response; remaining tokens are rounded to thousands."""
        now = self._clock()
        headers: dict[str, str] = {}
        for name in _USUAL:
            limit = self._enforced.get(name, _USUAL[name])
            bucket = self._bucket(model, name) if name in self._enforced else None
            left = limit if bucket is None else max(0, int(bucket.level(now)))
            full_in = 0.0 if bucket is None else bucket.wait_seconds(limit, now)
            _describe(headers, name, limit, left, self._wall_clock() + full_in)
        tightest = "input-tokens"
        for part in ("limit", "remaining", "reset"):
            headers[f"anthropic-ratelimit-tokens-{part}"] = headers[f"anthropic-ratelimit-{tightest}-{part}"]
        return headers

    def _bucket(self, model: str, name: str) -> Bucket:
        key = (model, name)
        if key not in self._buckets:
            self._buckets[key] = Bucket(self._enforced[name], self._clock())
        return self._buckets[key]


def _describe(headers: dict[str, str], name: str, limit: int, left: int, reset_at: float) -> None:
    remaining = left if name == "requests" else round(left, -3)
    headers[f"anthropic-ratelimit-{name}-limit"] = str(limit)
    headers[f"anthropic-ratelimit-{name}-remaining"] = str(remaining)
    headers[f"anthropic-ratelimit-{name}-reset"] = datetime.fromtimestamp(reset_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
