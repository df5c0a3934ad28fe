"""The prompt cache itself: entries, look-back, lifetime, billing. Pure; the clock is an argument.

One call has two phases, because an entry can be read only once its writer's response begins:

    engine = Engine(clock=time.monotonic, latency=LatencyModel("2024", noise=0))
    plan = engine.begin(prompt, scope="workspace")   # what is read, what will be written, how long it takes
    ... wait plan.ttft_seconds ...
    engine.respond(plan)                             # the written entries become readable

A trace replay passes `at` to both and never waits.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from warmcache.simulator.latency import LatencyModel
from warmcache.simulator.prompt import Level, Prompt

LOOK_BACK_POSITIONS = 20
"""Positions that one breakpoint checks, itself included."""
_HOUR = 3600
_PRUNE_EVERY = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheUsage:
    """Input tokens of one request by how they are billed."""

    input_tokens: int
    cache_read_tokens: int = 0
    cache_write_5m_tokens: int = 0
    cache_write_1h_tokens: int = 0

    @property
    def cache_write_tokens(self) -> int:
        """Tokens written, over both TTLs."""
        return self.cache_write_5m_tokens + self.cache_write_1h_tokens

    @property
    def total_tokens(self) -> int:
        """The whole input."""
        return self.input_tokens + self.cache_read_tokens + self.cache_write_tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedWrite:
    """An entry that this request will write."""

    key: bytes
    tokens: int
    ttl_seconds: int
    level: Level


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The effect of one request on the cache, and of the cache on the request."""

    scope: str
    model: str
    started_at: float
    usage: CacheUsage
    ttft_seconds: float
    """Simulated time from the start until the response begins."""
    writes: tuple[PlannedWrite, ...]


@dataclass(slots=True, kw_only=True)
class Entry:
    """One live prefix. Times are seconds of the engine's clock."""

    scope: str
    model: str
    level: Level
    tokens: int
    ttl_seconds: int
    readable_at: float
    expires_at: float

    def is_live(self, at: float) -> bool:
        """Whether a request that starts at `at` can read this entry."""
        return self.readable_at <= at < self.expires_at


class Engine:
    """All cache entries of one simulated provider."""

    def __init__(
        self,
        *,
        clock: Callable[[], float],
        latency: LatencyModel | None = None,
        seed: int = 1,
        abandoned_calls_write: bool = False,
    ) -> None:
        """`abandoned_calls_write`: whether a call that its client cancels before the response still writes.

        The provider does not document this; if False, a cancelled warm-up leaves no entry.
        """
        self._clock = clock
        self._seed = seed
        self._latency = latency or LatencyModel("instant", noise=0)
        self._abandoned_calls_write = abandoned_calls_write
        self.reset()

    def reset(self) -> None:
        """Forgets every entry, and restarts the clock's offset and the random draws."""
        self._entries: dict[bytes, Entry] = {}
        self._offset = 0.0
        self._latency.reset()
        self._random = random.Random(self._seed)  # noqa: S311 - a repeatable draw, not a secret
        self._begun = 0

    @property
    def latency(self) -> LatencyModel:
        """The latency model that draws each plan's time."""
        return self._latency

    def now(self) -> float:
        """The cache clock: the given clock plus what `advance` added."""
        return self._clock() + self._offset

    def advance(self, seconds: float) -> None:
        """Moves the cache clock forward, so that entries age without waiting."""
        self._offset += seconds

    def usage_of(self, prompt: Prompt, *, scope: str = "", at: float | None = None) -> CacheUsage:
        """What a request that started at `at` would be billed. Renews nothing: the request may still be refused."""
        at = self.now() if at is None else at
        hit = self._look_up(prompt.chain(scope), prompt.breakpoints, at)
        return _bill(prompt, hit, _writable(prompt, hit))

    def begin(self, prompt: Prompt, *, scope: str = "", at: float | None = None) -> Plan:
        """Looks the prompt up, renews what is read, plans what will be written. `at` is the request's start."""
        at = self.now() if at is None else at
        self._prune(at)
        chain = prompt.chain(scope)
        hit = self._look_up(chain, prompt.breakpoints, at)
        if hit is not None:
            self._renew(chain[: hit + 1], at)
        writable = _writable(prompt, hit)
        usage = _bill(prompt, hit, writable)
        return Plan(
            scope=scope,
            model=prompt.facts.model,
            started_at=at,
            usage=usage,
            ttft_seconds=self._latency.prefill_seconds(
                prompt.facts.model,
                uncached_tokens=usage.total_tokens - usage.cache_read_tokens,
                cached_tokens=usage.cache_read_tokens,
            ),
            writes=_plan_writes(prompt, chain, writable),
        )

    def respond(self, plan: Plan, *, at: float | None = None) -> None:
        """The response of `plan` begins: its entries become readable; their TTL runs from the request's start."""
        at = self.now() if at is None else at
        for write in plan.writes:
            expires_at = plan.started_at + write.ttl_seconds
            entry = self._entries.get(write.key)
            if entry is None or entry.expires_at <= at:
                self._entries[write.key] = Entry(
                    scope=plan.scope,
                    model=plan.model,
                    level=write.level,
                    tokens=write.tokens,
                    ttl_seconds=write.ttl_seconds,
                    readable_at=at,
                    expires_at=expires_at,
                )
                continue
            # A concurrent request wrote the same prefix: the longer lifetime wins.
            entry.readable_at = min(entry.readable_at, at)
            entry.ttl_seconds = max(entry.ttl_seconds, write.ttl_seconds)
            entry.expires_at = max(entry.expires_at, expires_at)

    def abandon(self, plan: Plan, *, at: float | None = None) -> None:
        """The client of `plan` hung up before the response began."""
        if self._abandoned_calls_write:
            self.respond(plan, at=at)

    def evict(self, *, scope: str | None = None, share: float = 1.0) -> int:
        """Drops live entries before they expire, as the provider may. Returns how many."""
        chosen = [
            key
            for key, entry in self._entries.items()
            if (scope is None or entry.scope == scope) and (share >= 1 or self._random.random() < share)
        ]
        for key in chosen:
            del self._entries[key]
        return len(chosen)

    def entries(self, *, at: float | None = None) -> list[Entry]:
        """The entries that have not expired."""
        at = self.now() if at is None else at
        return [entry for entry in self._entries.values() if entry.expires_at > at]

    def _look_up(self, chain: tuple[bytes, ...], breakpoints: tuple[int, ...], at: float) -> int | None:
        checked, find = len(chain), self._entries.get
        for breakpoint_ in reversed(breakpoints):
            first = max(0, breakpoint_ - LOOK_BACK_POSITIONS + 1)
            for position in range(min(breakpoint_, checked - 1), first - 1, -1):
                entry = find(chain[position])
                if entry is not None and entry.readable_at <= at < entry.expires_at:
                    return position
            checked = min(checked, first)
        return None

    def _renew(self, path: tuple[bytes, ...], at: float) -> None:
        find = self._entries.get
        for key in path:
            entry = find(key)
            if entry is not None and entry.readable_at <= at < entry.expires_at:
                entry.expires_at = max(entry.expires_at, at + entry.ttl_seconds)

    def _prune(self, at: float) -> None:
        self._begun += 1
        if self._begun % _PRUNE_EVERY == 0:
            self._entries = {key: entry for key, entry in self._entries.items() if entry.expires_at > at}


def _writable(prompt: Prompt, hit: int | None) -> list[int]:
    """Breakpoints beyond the entry that was read, if their prefix reaches the model's minimum."""
    beyond = -1 if hit is None else hit
    return [
        position
        for position in prompt.breakpoints
        if position > beyond and prompt.prefix_tokens[position] >= prompt.facts.min_prefix_tokens
    ]


def _plan_writes(prompt: Prompt, chain: tuple[bytes, ...], writable: Sequence[int]) -> tuple[PlannedWrite, ...]:
    return tuple(
        PlannedWrite(
            key=chain[position],
            tokens=prompt.prefix_tokens[position],
            ttl_seconds=prompt.blocks[position].ttl_seconds or 0,
            level=prompt.blocks[position].level,
        )
        for position in writable
    )


def _bill(prompt: Prompt, hit: int | None, writable: Sequence[int]) -> CacheUsage:
    """Reads up to the entry, 1 h writes up to the last 1 h breakpoint beyond it, 5 min writes up to the last one."""
    read = 0 if hit is None else prompt.prefix_tokens[hit]
    hour_marks = [position for position in writable if prompt.blocks[position].ttl_seconds == _HOUR]
    hour_end = prompt.prefix_tokens[hour_marks[-1]] if hour_marks else read
    end = max(hour_end, prompt.prefix_tokens[writable[-1]]) if writable else read
    return CacheUsage(
        input_tokens=prompt.total_tokens - end,
        cache_read_tokens=read,
        cache_write_1h_tokens=hour_end - read,
        cache_write_5m_tokens=end - hour_end,
    )
