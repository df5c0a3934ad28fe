"""Ports: what the services need from outside. Implementations: `upstream/anthropic.py`, `stores/`, `testing.py`."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Protocol

from warmcache.core.blocks import BlockKind, DeltaKind
from warmcache.core.guards import Change, Charge, Claim, Expectation, Refusal, Unopened
from warmcache.core.prefix import Request
from warmcache.core.reasons import Reason
from warmcache.core.upstreams import Upstream
from warmcache.core.usage import Usage


class Clock(Protocol):
    """Wall-clock time, so that expiry times survive a restart."""

    def now(self) -> float:
        """Seconds since the epoch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What the one provider behind the API can do."""

    upstream: Upstream
    accepts_zero_max_tokens: bool = True
    reports_cache_writes: bool = True
    """False if cache counters of 0 mean nothing (a local model caches without reporting what it wrote)."""
    accepts_diagnostics: bool = False
    """Whether it reports why a prompt could not be read from the cache, compared with an earlier request."""

    counts_tokens: bool = False
    """Whether it counts a prompt's tokens without answering it, free of charge."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The response to a pre-warm."""

    usage: Usage
    request_id: str
    response_id: str = ""
    """The message's own id, with which a later request can be compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamBegan:
    """The provider has begun to answer: its cache entries can be read from now on."""

    usage: Usage
    request_id: str
    response_id: str
    miss_reason: str = ""
    """Where it diverged from the request that it was compared with: `model_changed`, `system_changed`, `tools_changed`,
    `messages_changed`, `previous_message_not_found` or `unavailable`; empty if unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockBegan:
    index: int
    kind: BlockKind
    name: str = ""
    """The tool's name; empty for every other kind."""
    block: Mapping[str, Any] = field(default_factory=dict)
    """The API's complete block as it began."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockDelta:
    """More text of a block. Tool input arrives in pieces of its JSON, or in one piece if the block began with it."""

    index: int
    kind: DeltaKind
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockSigned:
    """The signature that a thinking block must carry when it is sent back."""

    index: int
    signature: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockExtended:
    """Another addition to a block: a citation, or an unknown delta. Raw and complete."""

    index: int
    delta: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockEnded:
    index: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherEvent:
    """An unknown event. Raw and complete."""

    event: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamEnded:
    """The provider has finished. `usage` is cumulative."""

    stop_reason: str
    usage: Usage
    message: Mapping[str, Any] = field(default_factory=dict)
    """The API's final message without its content: `stop_details`, `container`, the complete `usage`."""


StreamEvent = (
    StreamBegan | BlockBegan | BlockDelta | BlockSigned | BlockExtended | BlockEnded | OtherEvent | StreamEnded
)


class Provider(Protocol):
    """The Messages API. Every failure is an `UpstreamError`."""

    @property
    def capabilities(self) -> Capabilities:
        """What it can do, as far as is known now."""

    async def prewarm(self, request: Request) -> Answer:
        """Sends the request with `max_tokens: 0`, once; `PrewarmRefused` if that is what the endpoint refuses."""

    def stream(
        self, request: Request, *, max_tokens: int, earlier_id: str | None = None
    ) -> AbstractAsyncContextManager[AsyncIterator[Sequence[StreamEvent]]]:
        """One attempt of a streamed request: its events, in groups as they arrived together, none of them empty.
        Leaving the context closes the connection at once.

        With `earlier_id`, the id of an earlier response, a provider that `accepts_diagnostics` reports where the prompt
        diverged from it (`StreamBegan.miss_reason`). The iterator ends with `StreamEnded` or raises: an end
        without `message_stop` is `StreamBroken`.
        """

    async def count_tokens(self, request: Request) -> int:
        """The tokens of the whole request. Called only if it `counts_tokens`."""

    async def aclose(self) -> None:
        """Closes its connections."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """What a store knows of one `prefix_hash`."""

    expires_at: float | None = None
    """Estimated, epoch seconds; None if the entry is cold."""
    lease_owner: str | None = None
    """Who is about to write it, or is writing it now."""
    called_at: float | None = None
    """When the holder's call went to the provider, epoch seconds; None while it waits for its turn."""
    is_uncacheable: bool = False
    """A warm-up returned with both cache counters 0."""
    stopped_for: Reason | None = None
    """The reason why warming under this name is stopped for a while."""


class Allowances(Protocol):
    """What may still be spent and which trust was earned, shared as widely as the store that makes it.

    Its methods may raise only `StoreUnavailable`: what cannot be counted is not spent.
    Contract: tests/warmcache/contracts/allowances.py, run over every implementation.
    """

    async def reserve(self, claims: Sequence[Claim]) -> Refusal | Unopened | None:
        """Takes all claims or, if one is refused, none, and returns that refusal. Atomic across all callers."""

    async def open(self, charges: Sequence[Charge]) -> None:
        """Opens each account with its amount, whatever its limit. No effect on one that is open already."""

    async def settle(self, changes: Sequence[Change]) -> None:
        """Records what is known now: the true cost, what was used, what was unused, what never happened. A `Pay` or an
        `Undo` also ends the store's stop under the name of its account, if there is one."""

    async def expect(self, expectations: Sequence[Expectation]) -> None:
        """Expects reads of these layers. A newer expectation of the same prefix_hash replaces the older one."""

    async def take_met(
        self, hashes: Sequence[str], *, started_at: float, changes: Sequence[Change] = ()
    ) -> Sequence[Expectation]:
        """The expectations that a request with these hashes and this start could have read. Each is returned once. Also
        settles `changes`. Costs at most one round trip."""

    async def take_missed(self) -> Sequence[Expectation]:
        """Some of the expectations that no request met in time. Each is returned once."""

    async def forget(self, accounts: Sequence[str]) -> None:
        """Deletes what is counted and trusted under these names, and the store's stops under them."""


class Purse(Protocol):
    """The host's own limits on money, in which warm-ups count too. Both methods are called in a database thread."""

    def reserve(self, subject: str, usd: Decimal) -> object | None:
        """Sets the cost of a warm-up aside; None if a limit is reached. Returns what `settle` needs."""

    def settle(self, reserved: Any, billed_usd: Decimal | None) -> None:
        """Puts what was billed in its place. None: nobody knows, and what was set aside counts."""


class WarmthStore(Protocol):
    """Who is warming what, and what is warm until when. Holds hashes and times, never content.

    Built by its class method `from_config(config, *, clock)`. Its methods may raise only `StoreUnavailable`.
    Contract: tests/warmcache/contracts/warmth_store.py, run over every implementation.
    """

    def make_allowances(self) -> Allowances:
        """The allowances of this store: the same object each time, open as long as the store is."""

    async def look_up(self, hashes: Sequence[str], *, stops: Sequence[str] = ()) -> Mapping[str, Sighting]:
        """Returns only hashes and stop names about which something is known. Costs at most one round trip."""

    async def stop(self, name: str, *, reason: Reason, ttl_seconds: float) -> None:
        """Stops warming under this name for a while, or until `Allowances.settle` ends the stop. The last call wins."""

    async def claim(self, prefix_hash: str, *, owner: str, ttl_seconds: float, begins: bool = False) -> bool:
        """Takes the lease unless someone holds it. Of any number of callers exactly one gets True.

        With `begins` the holder's call goes to the provider at once: like `begin`, in the same step.
        """

    async def begin(self, hashes: Sequence[str], *, owner: str) -> None:
        """The holder's call goes to the provider now: requests that need the entry may wait for it. No effect on leases
        that `owner` does not hold."""

    async def renew(self, owner_by_hash: Mapping[str, str], *, ttl_seconds: float) -> None:
        """Extends these leases to end so long from now, unless they are given back. No effect on leases that the named
        owner does not hold (any more). Costs at most one round trip."""

    async def release(self, prefix_hash: str, *, owner: str) -> None:
        """Gives the lease back and wakes the waiters; no effect unless `owner` holds it."""

    async def wait_until_released(self, prefix_hash: str, *, timeout_seconds: float) -> bool:
        """True as soon as nobody holds the lease, False after the time-out."""

    async def record_warm(self, expires_at_by_hash: Mapping[str, float], *, gone: Sequence[str] = ()) -> None:
        """Records that these entries were written or read. An earlier expiry never replaces a later one. `gone` entries
        turned out to be missing and are forgotten first. Costs at most one round trip."""

    async def record_uncacheable(self, prefix_hash: str, *, ttl_seconds: float) -> None:
        """Records that warming this prefix has no effect."""

    async def aclose(self) -> None:
        """Closes its connections; the only method that never raises."""
