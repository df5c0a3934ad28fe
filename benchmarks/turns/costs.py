"""Counts what one turn of ours asks of databases, Redis and the upstream; samples where its processor time goes."""

import asyncio
import json
import signal
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from benchmarks.turns.figures import markdown, percentile
from benchmarks.turns.loads import SETTLE_SECONDS, SHORT_TURN_TOKENS
from benchmarks.turns.people import OurPerson, Turn
from benchmarks.turns.servers import OurServer

TRANSACTION_WORDS = ("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE", "PRAGMA")
LOG_COMMANDS = ("DEL+", "XADD", "XREAD", "XTRIM")
"""The first commands of its batches: a new log begins with the deletion of what may be left."""
BY_THE_CLOCK = (
    "Ledger.flush.<locals>.<lambda>",
    "LimitWatch._look",
    "beat",
    "catch_up",
    "delete_some",
    "expire_some",
    "forget_expired",
    "index_some",
    "leave_idle",
    "note_sockets",
    "purge_some",
    "read_row",
    "salt_the_cold",
    "signed_in_among",
    "streaming",
    "sweep",
)
"""Functions that a process runs in database threads now and then, whoever chats. What is not named here counts as the
turn's own."""

COUNTED_TURNS = 5
PROFILED_TURNS = 60
REPORT_SECONDS = 10.0
SHOWN_LINES = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    kind: str
    """`sql`, `connection`, `hop`, `redis` or `upstream`."""
    detail: str
    at_ns: int
    thread: str = ""

    @property
    def is_statement(self) -> bool:
        return self.kind == "sql" and not self.detail.lstrip().upper().startswith(TRANSACTION_WORDS)

    @property
    def is_round_trip(self) -> bool:
        """A round trip to Redis that is not the reply log's own."""
        return self.kind == "redis" and not self.detail.startswith(LOG_COMMANDS)

    @property
    def reads_content(self) -> bool:
        return self.is_statement and self.detail.startswith("SELECT") and '"chatapp_message"."content"' in self.detail

    @property
    def bytes(self) -> int:
        """Bytes sent, if known."""
        return int(self.detail.rpartition(" ")[2]) if self.kind in ("redis", "upstream") else 0


def told_apart(events: Sequence[Event]) -> tuple[list[Event], list[Event]]:
    """What belongs to the turn, and what the process does by the clock. A hop is recorded at its end: what its thread
    did before belongs to it."""
    own, by_the_clock, pending = [], [], defaultdict[str, list[Event]](list)
    for event in events:
        if event.kind not in ("sql", "connection", "hop"):
            own.append(event)
            continue
        pending[event.thread].append(event)
        if event.kind == "hop":
            target = by_the_clock if event.detail in BY_THE_CLOCK else own
            target += pending.pop(event.thread)
    own += chain.from_iterable(pending.values())
    return sorted(own, key=lambda event: event.at_ns), by_the_clock


def counted(recorded: Sequence[Event], turn: Turn) -> dict[str, int]:
    """The counts of one turn, by line of the table."""
    events, by_the_clock = told_apart(recorded)
    call = next((event.at_ns for event in events if event.kind == "upstream"), turn.reply.first_ns)
    early = [event for event in events if event.at_ns < call]
    return {
        "SQL statements before the call": sum(event.is_statement for event in early),
        "SQL statements": sum(event.is_statement for event in events),
        "SQL statements by the clock, beside": sum(event.is_statement for event in by_the_clock),
        "BEGIN and the like": sum(event.kind == "sql" and not event.is_statement for event in events),
        "statements that read messages' content": sum(event.reads_content for event in events),
        "thread hops before the call": sum(event.kind == "hop" for event in early),
        "thread hops": sum(event.kind == "hop" for event in events),
        "thread hops by the clock, beside": sum(event.kind == "hop" for event in by_the_clock),
        "new connections": sum(event.kind == "connection" for event in events),
        "Redis round trips before the call": sum(event.is_round_trip for event in early),
        "Redis round trips": sum(event.is_round_trip for event in events),
        "Redis batches of the log": sum(event.kind == "redis" and not event.is_round_trip for event in events),
        "bytes to Redis": sum(event.bytes for event in events if event.kind == "redis"),
        "bytes to the provider": sum(event.bytes for event in events if event.kind == "upstream"),
        "bytes to the page": turn.bytes_in,
    }


async def count_turns(server: OurServer, person: OurPerson) -> tuple[dict[str, float], list[Event]]:
    """Medians over several turns, and the events of the last one."""
    found: list[dict[str, int]] = []
    events: list[Event] = []
    for _ in range(COUNTED_TURNS):
        await _report(server)
        turn = await person.turn(tokens=SHORT_TURN_TOKENS, rate=80)
        await asyncio.sleep(3 * SETTLE_SECONDS)
        events = [
            Event(kind=kind, detail=detail, at_ns=at, thread=thread)
            for kind, detail, at, thread in await _report(server)
        ]
        found.append(counted(events, turn))
    return {name: percentile([one[name] for one in found], 50) for name in found[0]}, events


async def profile_turns(server: OurServer, people: Sequence[OurPerson]) -> list[str]:
    """Milliseconds of processor time per turn, as lines to print."""
    await _report(server)
    each = PROFILED_TURNS // len(people)
    for person in people:
        for _ in range(each):
            await person.turn(tokens=SHORT_TURN_TOKENS, rate=80)
    await asyncio.sleep(SETTLE_SECONDS)
    found = await _report(server)
    turns = each * len(people)
    packages: Counter[str] = Counter()
    for module, spent_ns in found["own"].items():
        packages[package_of(module)] += spent_ns
    return [
        f"processor time of a {SHORT_TURN_TOKENS}-token turn, {turns} turns, "
        f"{sum(packages.values()) / 1e6 / turns:.1f} ms each",
        *_ranked("by thread", Counter(found["threads"]), turns),
        *_ranked("by package that computed", packages, turns),
        *_ranked("by the nearest function of ours", Counter(found["under"]), turns),
    ]


def package_of(module: str) -> str:
    """The module itself if it is ours, else its package: three names deep for Django, two for others."""
    names = module.split(".")
    if names[0] in ("chatapp", "warmcache"):
        return module
    return ".".join(names[: 3 if names[0] == "django" else 2])


def cost_table(columns: dict[str, dict[str, float]]) -> list[str]:
    lines = list(next(iter(columns.values())))
    body = [[line, *(f"{column[line]:,.0f}" for column in columns.values())] for line in lines]
    return markdown([["per turn", *columns], *body])


def trace(events: Sequence[Event]) -> list[str]:
    """The events of one turn in order, in milliseconds since the first."""
    if not events:
        return []
    return [
        f"{(event.at_ns - events[0].at_ns) / 1e6:8.1f}  {event.thread:12} {event.kind:10} {_shortened(event.detail)}"
        for event in events
    ]


def _shortened(detail: str) -> str:
    return " ".join(detail.split())[:200]


def _ranked(title: str, spent_ns: Counter[str], turns: int) -> list[str]:
    total = sum(spent_ns.values()) or 1
    return [
        f"  {title}:",
        *(
            f"    {ns / 1e6 / turns:7.2f} ms {ns / total:6.1%}  {name}"
            for name, ns in spent_ns.most_common(SHOWN_LINES)
            if ns / total >= 0.005
        ),
    ]


async def _report(server: OurServer) -> Any:
    """What the server's instrument has recorded since the last report."""
    server.report.unlink(missing_ok=True)
    server.tell(signal.SIGUSR1)
    deadline = time.monotonic() + REPORT_SECONDS
    while not server.report.exists() and time.monotonic() < deadline:  # noqa: ASYNC110  another process writes it
        await asyncio.sleep(0.01)
    return json.loads(server.report.read_text())
