"""What the services need from the outside world. Implementations: `upstream/anthropic.py`, `stores/`, `testing.py`."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from warmcache.core.guards import Change, Claim, Expectation, Refusal
from warmcache.core.prefix import Request
from warmcache.core.reasons import Reason
from warmcache.core.upstreams import Upstream
from warmcache.core.usage import Usage

DeltaKind = Literal["text", "thinking", "tool_input"]
BlockKind = Literal["text", "thinking", "tool_input", "other"]
"""`tool_input`: a call, also of a tool that the provider runs. `other`: whatever has no text of its own that streams,
and what this code has never heard of."""


class Clock(Protocol):
    """Wall-clock time, so that expiry survives a restart."""

    def now(self) -> float:
        """Seconds since the epoch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What the one provider behind the API can do."""

    upstream: Upstream
    accepts_zero_max_tokens: bool = True
    reports_cache_writes: bool = True
    """False where cache counters of 0 mean nothing (a local model caches without saying what it wrote)."""
    accepts_diagnostics: bool = False
    """Whether it tells why a prompt could not be read from the cache, compared with an earlier request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The response to a pre-warm."""

    usage: Usage
    request_id: str
    response_id: str = ""
    """The message's own id, by which a later request may be compared with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamBegan:
    """The provider has begun to answer: its cache entries are readable from now on."""

    usage: Usage
    request_id: str
    response_id: str
    miss_reason: str = ""
    """Where it parted from the request that it was compared with: `model_changed`, `system_changed`, `tools_changed`,
    `messages_changed`, `previous_message_not_found` or `unavailable`; empty where nothing is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockBegan:
    index: int
    kind: BlockKind
    name: str = ""
    """The tool's name; empty for every other kind."""
    block: Mapping[str, Any] = field(default_factory=dict)
    """The API's own block as it began, whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockDelta:
    """More text of a block. A tool's input comes in pieces of its JSON, or in one where the block began with it."""

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
    """What else is added to a block: a citation, or a delta that this code has never heard of. Raw and whole."""

    index: int
    delta: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockEnded:
    index: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherEvent:
    """An event that this code has never heard of. Raw and whole."""

    event: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamEnded:
    """The provider has said everything. `usage` is cumulative."""

    stop_reason: str
    usage: Usage
    message: Mapping[str, Any] = field(default_factory=dict)
    """The API's own message in the end, without its content: `stop_details`, `container`, `usage` in full."""


StreamEvent = (
    StreamBegan | BlockBegan | BlockDelta | BlockSigned | BlockExtended | BlockEnded | OtherEvent | StreamEnded
)


class Provider(Protocol):
    """The Messages API. Every failure is an `UpstreamError`."""

    capabilities: Capabilities

    async def prewarm(self, request: Request) -> Answer:
        """Sends the request with `max_tokens: 0`. One try."""

    def stream(
        self, request: Request, *, max_tokens: int, earlier_id: str | None = None
    ) -> AbstractAsyncContextManager[AsyncIterator[StreamEvent]]:
        """One try of a streamed request. Leaving the context closes the connection at once.

        With `earlier_id`, the id of an earlier response, a provider that `accepts_diagnostics` tells where the prompt
        parted from that one (`StreamBegan.miss_reason`). The iterator ends with `StreamEnded` or raises: an end
        without `message_stop` is `StreamBroken`.
        """

    async def aclose(self) -> None:
        """Closes its connections."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """What a store knows of one `prefix_hash`."""

    expires_at: float | None = None
    """Estimated, epoch seconds; None where the entry is cold."""
    lease_owner: str | None = None
    """Who is about to write it, or is writing it right now."""
    called_at: float | None = None
    """Since when the holder's call is at the provider, epoch seconds; None while it waits for its turn."""
    is_uncacheable: bool = False
    """A warm-up came back with both cache counters 0."""
    stopped_for: Reason | None = None
    """The reason for which nothing is warmed under this name for a while."""


class Allowances(Protocol):
    """What may still be spent and what trust was earned, shared as widely as the store that makes it.

    Its methods may raise `StoreUnavailable`, nothing else: what cannot be counted is not spent.
    Contract: tests/warmcache/contracts/allowances.py, run over every implementation.
    """

    async def reserve(self, claims: Sequence[Claim]) -> Refusal | None:
        """Takes all of them or, where one is refused, none; that one is told. One step, whoever else takes."""

    async def settle(self, changes: Sequence[Change]) -> None:
        """What is known now: the true cost, what was used, what was not, what never happened. A `Pay` and an `Undo`
        end the store's stop under the name of their account, if there is one."""

    async def expect(self, expectations: Sequence[Expectation]) -> None:
        """These layers should be read. A newer expectation of the same prefix_hash replaces the older."""

    async def take_met(
        self, hashes: Sequence[str], *, started_at: float, changes: Sequence[Change] = ()
    ) -> Sequence[Expectation]:
        """Those that a request with these hashes could read, when it started then. Each is given out once. Settles
        `changes` too. Costs at most one round trip."""

    async def take_missed(self) -> Sequence[Expectation]:
        """Some of those that nobody has come for in time. Each is given out once."""


class WarmthStore(Protocol):
    """Who is warming what, and what is warm until when. Holds hashes and times, never content.

    Built by its class method `from_config(config, *, clock)`. Its methods may raise `StoreUnavailable`, nothing else.
    Contract: tests/warmcache/contracts/warmth_store.py, run over every implementation.
    """

    def make_allowances(self) -> Allowances:
        """Those that go with this store: the same object each time, open as long as the store is."""

    async def look_up(self, hashes: Sequence[str], *, stops: Sequence[str] = ()) -> Mapping[str, Sighting]:
        """Only hashes and names of stops of which something is known. Costs at most one round trip."""

    async def stop(self, name: str, *, reason: Reason, ttl_seconds: float) -> None:
        """Nothing is warmed under this name for a while, or until `Allowances.settle` ends it. The last word counts."""

    async def claim(self, prefix_hash: str, *, owner: str, ttl_seconds: float, begins: bool = False) -> bool:
        """Takes the lease unless somebody holds it. Exactly one of any number of callers gets True.

        With `begins` the holder's call goes to the provider at once: as `begin`, in the same step.
        """

    async def begin(self, hashes: Sequence[str], *, owner: str) -> None:
        """The holder's call goes to the provider now: those who need the entry may wait for it. No effect on leases
        that `owner` does not hold."""

    async def renew(self, owner_by_hash: Mapping[str, str], *, ttl_seconds: float) -> None:
        """These leases end so long from now, unless they are given back. No effect on those that the owner named does
        not hold (any more). Costs at most one round trip."""

    async def release(self, prefix_hash: str, *, owner: str) -> None:
        """Gives the lease back and wakes those who wait; no effect unless `owner` holds it."""

    async def wait_until_released(self, prefix_hash: str, *, timeout_seconds: float) -> bool:
        """True as soon as nobody holds the lease, False after the time-out."""

    async def record_warm(self, expires_at_by_hash: Mapping[str, float], *, gone: Sequence[str] = ()) -> None:
        """These entries were written or read. An earlier expiry never replaces a later one. Those `gone` turned out not
        to have been there, and are forgotten first. Costs at most one round trip."""

    async def record_uncacheable(self, prefix_hash: str, *, ttl_seconds: float) -> None:
        """Warming this prefix has no effect."""

    async def aclose(self) -> None:
        """Closes its connections; the only method that never raises."""
