"""Test tools for hosts: a clock under the test's control, a provider without a network, prompts of any size.

    async def test_typing_warms(db):
        async with fake_runtime() as fake:
            attempt = await services.prewarm_prefix(make_prompt(), intent=Intent.TYPING)
            assert (await attempt.finished()).state == "warm"

            async with services.stream_response(make_prompt(), make_turn(), max_tokens=100) as response:
                text = "".join([event.text async for event in response if isinstance(event, BlockDelta)])

            assert response.result.settlement.warmth == "hit"
            assert fake.provider.warm_up_count == 1

Everything that `warmcache.services` does then runs against the fakes, on the running event loop.
"""

import asyncio
import math
import re
from collections import Counter, deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, ClassVar, Literal, Self, TypeVar

from warmcache.conf import Config
from warmcache.core.blocks import BlockKind
from warmcache.core.catalog import facts_for
from warmcache.core.errors import LedgerClosed, UpstreamError
from warmcache.core.guards import Spent
from warmcache.core.ports import (
    Answer,
    BlockBegan,
    BlockDelta,
    BlockEnded,
    Capabilities,
    Clock,
    StreamBegan,
    StreamEnded,
    StreamEvent,
    WarmthStore,
)
from warmcache.core.prefix import (
    TOKENS_PER_TURN,
    Breakpoint,
    Json,
    Prefix,
    PrefixKey,
    Prompt,
    Request,
    Turn,
    build_request,
)
from warmcache.core.upstreams import Upstream
from warmcache.core.usage import Usage
from warmcache.ledger.writer import Ledger
from warmcache.operator_policy import PolicyWatch
from warmcache.runtime.state import Runtime
from warmcache.runtime.wiring import SystemClock, build_runtime, close_runtime, install_runtime

__all__ = [
    "DummyProvider",
    "FakeClock",
    "FakeProvider",
    "FakeRuntime",
    "fake_runtime",
    "make_prefix",
    "make_prompt",
    "make_turn",
]

T = TypeVar("T")
Kind = Literal["warm_up", "reply"]
MODEL = "claude-sonnet-5-5"
KEY = PrefixKey(secret=b"test", upstream="http://fake")
TURN_TOKENS = 12
"""Tokens after the last breakpoint in a fake's usage."""


class FakeClock:
    """A `Clock` that moves only when told to."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self._now = now

    def now(self) -> float:
        return self._now

    def advance(self, seconds: float) -> None:
        self._now += seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """One call that reached the fake. `usage` is what it was billed, None until it is answered."""

    kind: Kind
    request: Request
    at: float
    usage: Usage | None
    earlier_id: str | None = None
    """The response that it was to be compared with."""


@dataclass(slots=True, kw_only=True)
class _Trouble:
    kind: Kind | None
    error: UpstreamError | None
    """None stalls for ever."""
    after_pieces: int | None
    """None fails before the answer begins; 0 after `StreamBegan`, before the first block."""


class FakeProvider:
    """A `Provider` with its own prompt cache and no network.

    Entries are written, read, renewed and expire as the API documents it, by the request's own prefix hashes and
    estimated tokens. Every call is recorded in `sent`.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        capabilities: Capabilities | None = None,
        pieces: Sequence[str] = ("Hello", " there."),
    ) -> None:
        self.capabilities = capabilities or Capabilities(upstream=Upstream.SIMULATOR, accepts_diagnostics=True)
        self.pieces = tuple(pieces)
        """The text of each reply, in the pieces in which it is streamed."""
        self.reports_nothing = False
        """If True, every answer has both cache counters 0, and nothing is cached."""
        self.miss_reason = ""
        """The miss reason for replies that are to be compared with an earlier one."""
        self.sent: list[Sent] = []
        self.writes: Counter[str] = Counter()
        """How often the entry of each prefix_hash was written."""
        self.open_calls = 0
        self.most_open_warm_ups = 0
        self.is_closed = False
        self._clock = clock
        self._expires_at: dict[str, float] = {}
        self._troubles: deque[_Trouble] = deque()
        self._gate = asyncio.Event()
        self._gate.set()
        self._reply_gate = asyncio.Event()
        self._reply_gate.set()
        self._open_warm_ups = 0
        self._changed = asyncio.Condition()

    @property
    def warm_up_count(self) -> int:
        return sum(call.kind == "warm_up" for call in self.sent)

    @property
    def reply_count(self) -> int:
        return sum(call.kind == "reply" for call in self.sent)

    def fail(
        self, error: UpstreamError, *, times: int = 1, kind: Kind | None = None, after_pieces: int | None = None
    ) -> None:
        """Makes the next calls fail: before they are answered, or in a stream after so many pieces of text."""
        self._troubles.extend(_Trouble(kind=kind, error=error, after_pieces=after_pieces) for _ in range(times))

    def stall(self, *, times: int = 1, kind: Kind | None = None, after_pieces: int | None = None) -> None:
        """Makes the next calls stall until their caller gives up."""
        self._troubles.extend(_Trouble(kind=kind, error=None, after_pieces=after_pieces) for _ in range(times))

    def hold_warm_ups(self) -> None:
        """Keeps warm-ups in flight from now on, until `release_warm_ups`."""
        self._gate.clear()

    def release_warm_ups(self) -> None:
        self._gate.set()

    def hold_replies(self) -> None:
        """Keeps replies from beginning from now on, until `release_replies`."""
        self._reply_gate.clear()

    def release_replies(self) -> None:
        self._reply_gate.set()

    async def warm_ups_in_flight(self, count: int = 1) -> None:
        """Returns once so many warm-ups are at the provider."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._open_warm_ups >= count)

    def evict(self, *hashes: str) -> None:
        """Evicts these entries before they expire, or all entries if none is named."""
        for prefix_hash in hashes or tuple(self._expires_at):
            self._expires_at.pop(prefix_hash, None)

    async def prewarm(self, request: Request) -> Answer:
        """See `Provider`."""
        number = self._arrived("warm_up", request)
        await self._count_warm_up(+1)
        try:
            trouble = self._trouble("warm_up")
            if trouble is not None:
                await _happen(trouble)
            usage = self._read(request, self._clock.now())
            await self._gate.wait()
        finally:
            await self._count_warm_up(-1)
        self._answer(number, usage)
        return Answer(usage=usage, request_id=f"req_{number}", response_id=f"msg_{number}")

    @asynccontextmanager
    async def stream(
        self, request: Request, *, max_tokens: int, earlier_id: str | None = None
    ) -> AsyncIterator[AsyncIterator[Sequence[StreamEvent]]]:
        """See `Provider`."""
        self.open_calls += 1
        number = self._arrived("reply", request, earlier_id)
        trouble = self._trouble("reply")
        try:
            if trouble is not None and trouble.after_pieces is None:
                await _happen(trouble)
            async with aclosing(self._one_by_one(number, trouble)) as events:
                yield events
        finally:
            self.open_calls -= 1

    async def count_tokens(self, request: Request) -> int:
        """What a warm-up of it would be billed, and its placeholder."""
        return request.prefix.prefix_tokens + TOKENS_PER_TURN + 2

    async def aclose(self) -> None:
        """See `Provider`."""
        self.is_closed = True

    async def _events(self, number: int, trouble: _Trouble | None) -> AsyncGenerator[StreamEvent, None]:
        usage = self._read(self.sent[number].request, self._clock.now())
        await self._reply_gate.wait()
        self._answer(number, usage)
        yield StreamBegan(
            usage=usage,
            request_id=f"req_{number}",
            response_id=f"msg_{number}",
            miss_reason=self.miss_reason if self.sent[number].earlier_id else "",
        )
        yield BlockBegan(index=0, kind=BlockKind.TEXT, block={"type": "text", "text": ""})
        await self._break(trouble, 0)
        for count, piece in enumerate(self.pieces, start=1):
            yield BlockDelta(index=0, kind=BlockKind.TEXT, text=piece)
            await self._break(trouble, count)
        yield BlockEnded(index=0)
        yield StreamEnded(
            stop_reason="end_turn",
            usage=replace(usage, output_tokens=len(self.pieces)),
        )

    async def _one_by_one(self, number: int, trouble: _Trouble | None) -> AsyncGenerator[Sequence[StreamEvent], None]:
        async with aclosing(self._events(number, trouble)) as events:
            async for event in events:
                yield [event]

    def _trouble(self, kind: Kind) -> _Trouble | None:
        for trouble in self._troubles:
            if trouble.kind in (None, kind):
                self._troubles.remove(trouble)
                return trouble
        return None

    async def _break(self, trouble: _Trouble | None, pieces_sent: int) -> None:
        if trouble is not None and trouble.after_pieces == pieces_sent:
            await _happen(trouble)

    async def _count_warm_up(self, change: int) -> None:
        self.open_calls += change
        self._open_warm_ups += change
        self.most_open_warm_ups = max(self.most_open_warm_ups, self._open_warm_ups)
        async with self._changed:
            self._changed.notify_all()

    def _read(self, request: Request, now: float) -> Usage:
        """What a request that starts now finds, and what it will write."""
        prefix = request.prefix
        written = [] if self.reports_nothing else self._writable(prefix)
        hit_tokens = 0 if self.reports_nothing else self._hit_tokens(prefix, now)
        end = max([hit_tokens, *(point.prefix_tokens for point in written)])
        hours = [p.prefix_tokens for p in written if p.ttl_seconds > 300 and p.prefix_tokens > hit_tokens]
        return Usage(
            input_tokens=prefix.prefix_tokens - end + TURN_TOKENS,
            cache_read_tokens=hit_tokens,
            cache_write_tokens=end - hit_tokens,
            cache_write_1h_tokens=max(hours, default=hit_tokens) - hit_tokens,
        )

    def _hit_tokens(self, prefix: Prefix, now: float) -> int:
        for point in reversed(prefix.breakpoints):
            for position in point.look_back:
                if self._expires_at.get(position.prefix_hash, -math.inf) > now:
                    return position.prefix_tokens
        return 0

    def _writable(self, prefix: Prefix) -> list[Breakpoint]:
        minimum = facts_for(prefix.model).min_prefix_tokens
        return [point for point in prefix.breakpoints if point.prefix_tokens >= minimum]

    def _arrived(self, kind: Kind, request: Request, earlier_id: str | None = None) -> int:
        now = self._clock.now()
        self.sent.append(Sent(kind=kind, request=request, at=now, usage=None, earlier_id=earlier_id))
        return len(self.sent) - 1

    def _answer(self, number: int, usage: Usage) -> None:
        """The response begins: its entries can be read from now on; their TTL runs from the request's start."""
        call = self.sent[number] = replace(self.sent[number], usage=usage)
        if self.reports_nothing:
            return
        for point in self._writable(call.request.prefix):
            if point.prefix_tokens > usage.cache_read_tokens:
                self.writes[point.prefix_hash] += 1
            known = self._expires_at.get(point.prefix_hash, -math.inf)
            self._expires_at[point.prefix_hash] = max(known, call.at + point.ttl_seconds)


class DummyProvider(FakeProvider):
    """For the tests of a host, whose settings name it; for async and sync hosts alike, without a network or a clock.

        WARMCACHE = {"PROVIDER": "warmcache.testing.DummyProvider", "LEARNS": False}

    Every runtime makes one. All write what reaches them to one `outbox`, as Django does with mail. `text` is what they
    answer, and `latest` the newest of them, to be told to `fail` or to `stall`.
    """

    outbox: ClassVar[list[Sent]] = []
    text: ClassVar[str] = "Hello there."
    latest: ClassVar["DummyProvider | None"] = None

    @classmethod
    def from_config(cls, config: Config) -> Self:
        made = cls(clock=SystemClock(), pieces=re.findall(r"\S+\s*", cls.text))
        made.sent = cls.outbox
        cls.latest = made
        return made


async def _happen(trouble: _Trouble) -> None:
    if trouble.error is not None:
        raise trouble.error
    await asyncio.Event().wait()


class _NoLedger(Ledger):
    """A ledger that writes nothing, for tests without a database. Skips are still counted."""

    def post(self, write: Callable[[], Any]) -> None:
        return

    async def perform(self, write: Callable[[], T], *, is_kept: bool = False) -> T:
        raise LedgerClosed("This runtime has no database.")

    async def spent_on_warm_ups(self, subject: str, since: float, *, upstream: str, unknown_usd: Decimal) -> Spent:
        return Spent()


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeRuntime:
    """The running loop's runtime and its fakes."""

    runtime: Runtime
    provider: FakeProvider
    clock: FakeClock


@asynccontextmanager
async def fake_runtime(
    *,
    clock: FakeClock | None = None,
    provider: FakeProvider | None = None,
    store: WarmthStore | None = None,
    has_database: bool = True,
    **entries: Any,
) -> AsyncIterator[FakeRuntime]:
    """Installs a runtime with fakes on the running event loop, and closes it at the end.

    `entries` are fields of `Config`, in lower case. With `has_database=False` no row is written, and settlements do not
    find any warm-up.
    """
    clock = clock or FakeClock()
    provider = provider or FakeProvider(clock=clock)
    # A fake answers at once: the forecasts would learn from it that warming is never worth it.
    config = Config(
        **{"upstream": "simulator", "base_url": "http://fake", "secret": "test", "learns": False, **entries}
    )
    runtime = build_runtime(config, provider=provider, store=store, clock=clock)
    if not has_database:
        runtime.ledger = _NoLedger(clock=clock)
        runtime.policy = PolicyWatch(config, read=lambda: None)
    install_runtime(runtime)
    try:
        yield FakeRuntime(runtime=runtime, provider=provider, clock=clock)
    finally:
        await close_runtime()


def make_prompt(
    *,
    system_tokens: int = 4000,
    turns: int = 0,
    draft_tokens: int = 0,
    name: str = "a",
    model: str = MODEL,
    **more: Any,
) -> Prompt:
    """A prompt of about so many tokens, with `turns` questions and answers of a thousand tokens each.

    Another `name` makes another conversation with the same system prompt. `more` are fields of `Prompt`.
    """
    history: list[Turn] = []
    for number in range(turns):
        history.append(Turn(role="user", blocks=(_text(f"{name} asks {number}. ", 500, model),)))
        history.append(Turn(role="assistant", blocks=(_text(f"{name} hears {number}. ", 500, model),)))
    system = (_text("You answer from this text. ", system_tokens, model),) if system_tokens else ()
    draft = (_text(f"{name} attaches this. ", draft_tokens, model),) if draft_tokens else ()
    return Prompt(**{"model": model, "system": system, "history": tuple(history), "draft": draft, **more})


def make_prefix(prompt: Prompt | None = None, *, key: PrefixKey = KEY, **options: Any) -> Prefix:
    """The prefix of `prompt`, or of `make_prompt(**options)`."""
    return build_request(prompt or make_prompt(**options), None, key).prefix


def make_turn(text: str = "And now?") -> tuple[Json, ...]:
    """A person's own text as API content blocks."""
    return ({"type": "text", "text": text},)


def _text(beginning: str, tokens: int, model: str) -> Json:
    characters = math.ceil(tokens * facts_for(model).chars_per_token)
    return {"type": "text", "text": (beginning * math.ceil(characters / len(beginning)))[:characters]}
