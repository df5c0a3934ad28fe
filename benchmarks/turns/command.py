"""`python -m benchmarks turns`: what one message costs us, beside three peers.

The servers share one core; the load, the upstream and the databases share the other. Loads are interleaved: each load
runs against every server before the next load begins, and every pass repeats all of it. "Added" is the time at the
load's socket minus the upstream's own time.

raw: aiohttp in and out. tutorial: Channels, Daphne, the SDK. rows: the same with all messages in SQLite through the
async ORM. ours: this project on SQLite. ours-pg: this project on PostgreSQL (without fsync) and Redis.
"""

import argparse
import asyncio
import contextlib
import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmarks.turns import costs, loads
from benchmarks.turns.cores import Cores, choose_cores, memory_kib
from benchmarks.turns.figures import Line, Ratio, Reading, as_data, remarks, table
from benchmarks.turns.loads import LOAD_NAMES, MOST_STREAMS, ONE, STREAM_LOADS, Load
from benchmarks.turns.people import OurPerson, Person
from benchmarks.turns.servers import Checkout, OurServer, PeerServer, Server, StampedUpstream
from benchmarks.turns.venv import ROOT
from tests.servers.postgres_server import PostgresServer
from tests.servers.redis_server import RedisServer

PEERS = ("raw", "tutorial", "rows")
OURS, ON_POSTGRES = "ours", "-pg"
COLUMNS = (*PEERS, OURS, OURS + ON_POSTGRES)
PARTS = ("table", "prompts", "processes", "counts")
PEOPLE_OF_ONE = 3
NEITHER, PREFIX, HISTORY = "with neither", "60,000-token prefix", "1,000 messages"
ONE_PROCESS, TWO_PROCESSES = "1 process", "2 processes"
SHORT_TURNS = Load(name="8 streams of short turns", streams=8, rate=80, tokens=12, ramp_seconds=1, seconds=5)
TABS = 20


def _lines() -> list[Line]:
    found = []
    for load in (ONE, *(one.name for one in STREAM_LOADS if one.rate and one.has_turns)):
        found += [
            Line(title=f"added TTFT p50, ms, {load}", load=load, value="ttft_p50"),
            Line(title=f"added TTFT p95, ms, {load}", load=load, value="ttft_p95"),
        ]
    for load in (ONE, loads.TWENTY):
        found.append(Line(title=f"token delay p50, ms, {load}", load=load, value="delay_p50"))
    found.append(Line(title="CPU ms per 12-token turn, 1 stream", load=ONE, value="cpu_per_turn"))
    for load in (loads.TWENTY, loads.OVERLOAD, loads.LONG_REPLIES):
        found.append(Line(title=f"CPU ms per 1,000 tokens, {load}", load=load, value="cpu_per_1000_tokens", digits=0))
    return [
        *found,
        Line(title="tokens/s, 50 streams flat out", load=loads.FLAT_OUT, value="tokens_per_second", digits=0),
        Line(title="KiB per idle socket", load=loads.IDLE, value="kib_idle", digits=0),
        Line(title="KiB per active stream, kept conversations apart", load=loads.HUNDRED, value="kib_active", digits=0),
        Line(title="KiB kept of a conversation after its first turn", load=loads.SERVED, value="kib_kept", digits=0),
        Line(title="KiB of a prepared conversation, by its own count", load=loads.SERVED, value="kib_prepared"),
        Line(title="bytes to the page per 12-token turn", load=ONE, value="bytes_per_turn", digits=0),
    ]


LINES = _lines()
PROMPT_LINES = [
    Line(title=f"{title}, {load}", load=load, value=value)
    for load in (NEITHER, PREFIX, HISTORY)
    for title, value in (("added TTFT p50, ms", "ttft_p50"), ("CPU ms per turn", "cpu_per_turn"))
]
PROCESS_LINES = [Line(title="CPU ms per 12-token turn, 8 streams", load=SHORT_TURNS.name, value="cpu_per_turn")]


def run(arguments: Sequence[str] = ()) -> None:
    options = parse(arguments)
    before = os.sched_getaffinity(0)
    cores = choose_cores()
    os.sched_setaffinity(0, {cores.load})
    try:
        with contextlib.ExitStack() as stack:
            bench = Bench(options, cores, stack)
            if options.profile:
                bench.profile()
            else:
                bench.run()
    finally:
        os.sched_setaffinity(0, before)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks turns", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--peers", type=_some_of(COLUMNS), default=list(COLUMNS), help=",".join(COLUMNS))
    parser.add_argument(
        "--loads",
        type=_some_of(tuple(map(str, range(1, len(LOAD_NAMES) + 1)))),
        default=[str(number + 1) for number in range(len(LOAD_NAMES))],
        help="; ".join(f"{number}: {name}" for number, name in enumerate(LOAD_NAMES, 1)),
    )
    parser.add_argument("--parts", type=_some_of(PARTS), default=list(PARTS), help=",".join(PARTS))
    parser.add_argument("--passes", type=int, default=3, help="default: %(default)s")
    parser.add_argument("--quick", action="store_true", help="one short pass: rough, but soon there")
    parser.add_argument("--json", type=Path, metavar="FILE", help="every reading of every pass")
    parser.add_argument(
        "--ours", type=Path, action="append", default=[], metavar="DIR", help="another checkout, beside"
    )
    parser.add_argument("--keep-void", action="store_true", help="show what does not count, in brackets")
    parser.add_argument("--trace", action="store_true", help="with the counts: what one turn asks for, in order")
    parser.add_argument("--profile", action="store_true", help="only: where the processor time of ours goes")
    options = parser.parse_args(arguments)
    if options.quick:
        options.passes = 1
    return options


def _some_of(known: Sequence[str]) -> Callable[[str], list[str]]:
    def parse_some(text: str) -> list[str]:
        names = text.split(",")
        for name in names:
            if name not in known:
                raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(known)}")
        return names

    return parse_some


@dataclass(slots=True)
class Visit:
    """One server in one pass, with the people connected to it."""

    server: Server
    people: list[Person] = field(default_factory=list)
    others: list[Person] = field(default_factory=list)
    memory_kib: int = 0
    """Measured while everybody is connected and has been served, and nobody chats."""
    kib_idle: float = 0.0


class Bench:
    def __init__(self, options: argparse.Namespace, cores: Cores, stack: contextlib.ExitStack) -> None:
        self._options = options
        self._cores = cores
        self._stack = stack
        self._idle_sockets = 100 if options.quick else loads.IDLE_SOCKETS
        self._upstream = stack.enter_context(StampedUpstream())
        folders = {OURS: ROOT, **{folder.resolve().name: folder.resolve() for folder in options.ours}}
        people = MOST_STREAMS + loads.IDLE_SOCKETS + PEOPLE_OF_ONE
        self._checkouts = {name: stack.enter_context(Checkout(folder, people)) for name, folder in folders.items()}
        self._postgres: PostgresServer | None = None
        self._redis: RedisServer | None = None
        self.readings: list[Reading] = []
        self.counts: dict[str, dict[str, float]] = {}
        """Keyed by case, then by line of the table."""

    def run(self) -> None:
        began = time.monotonic()
        parts = {
            "table": self._table, "prompts": self._prompts, "processes": self._processes, "counts": self._counts,
        }  # fmt: skip
        for part in self._options.parts:
            parts[part]()
        _print(remarks(self.readings))
        print(f"{time.monotonic() - began:.0f} s, {self._options.passes} passes", flush=True)
        if self._options.json:
            found = {"readings": as_data(self.readings), "counts": self.counts}
            self._options.json.write_text(json.dumps(found, indent=1))

    def profile(self) -> None:
        for name in (one for one in self._columns() if one not in PEERS):
            with self._server(name, instrument="cpu_samples.py") as server:
                assert isinstance(server, OurServer)
                people = [server.person(number) for number in range(6)]
                print(f"{name}:")
                _print(asyncio.run(self._profile(server, people)))

    async def _profile(self, server: OurServer, people: list[OurPerson]) -> list[str]:
        await loads.join_all(people, serves=True)
        lines = await costs.profile_turns(server, people)
        await loads.leave_all(people)
        return lines

    def _columns(self) -> list[str]:
        """The requested servers, and every other checkout on the same databases as ours."""
        mine = [name for name in self._options.peers if name not in PEERS]
        others = [name.replace(OURS, other, 1) for other in self._checkouts if other != OURS for name in mine]
        return [*self._options.peers, *others]

    def _ratios(self, columns: Sequence[str]) -> list[Ratio]:
        wanted = [(OURS, "rows"), (OURS, "tutorial"), (OURS + ON_POSTGRES, OURS)]
        wanted += [
            (OURS + database, other + database) for other in self._checkouts if other != OURS
            for database in ("", ON_POSTGRES)
        ]  # fmt: skip
        return [Ratio(server=server, of=of) for server, of in wanted if server in columns and of in columns]

    def _server(self, name: str, *, instrument: str = "", processes: int = 1) -> Server:
        if name in PEERS:
            return PeerServer(name, core=self._cores.server, upstream=self._upstream)
        is_on_postgres = name.endswith(ON_POSTGRES)
        return OurServer(
            name,
            core=self._cores.server,
            upstream=self._upstream,
            checkout=self._checkouts[name.removesuffix(ON_POSTGRES)],
            postgres=self._started_postgres() if is_on_postgres else None,
            redis_url=self._started_redis().url if is_on_postgres else "",
            processes=processes,
            instrument=instrument,
        )

    def _started_postgres(self) -> PostgresServer:
        if self._postgres is None:
            self._postgres = self._stack.enter_context(PostgresServer())
        return self._postgres

    def _started_redis(self) -> RedisServer:
        if self._redis is None:
            self._redis = self._stack.enter_context(RedisServer())
        return self._redis

    def _print_table(self, lines: Sequence[Line], servers: Sequence[str], ratios: Sequence[Ratio]) -> None:
        _print(table(lines, self.readings, servers=servers, ratios=ratios, keeps_void=self._options.keep_void))

    # The table

    def _table(self) -> None:
        columns = self._columns()
        for number in range(self._options.passes):
            began = time.monotonic()
            with contextlib.ExitStack() as stack:
                servers = [stack.enter_context(self._server(name)) for name in columns]
                asyncio.run(self._pass([Visit(server) for server in servers]))
            print(f"pass {number + 1}: {time.monotonic() - began:.0f} s", flush=True)
        lines = [line for line in LINES if line.load in (loads.IDLE, loads.SERVED, *self._chosen())]
        self._print_table(lines, columns, self._ratios(columns))

    def _chosen(self) -> list[str]:
        """The names of the loads that were asked for."""
        return [LOAD_NAMES[int(number) - 1] for number in self._options.loads]

    async def _pass(self, visits: Sequence[Visit]) -> None:
        for visit in visits:
            await self._arrive(visit)
        chosen = self._chosen()
        if ONE in chosen:
            for visit in visits:
                people = visit.people[: 1 if self._options.quick else PEOPLE_OF_ONE]
                self.readings.append(await loads.measure_one(visit.server, self._cores, people))
        for load in (one for one in STREAM_LOADS if one.name in chosen):
            for visit in visits:
                self.readings.append(await self._put_on(visit, load))
        for visit in visits:
            await loads.leave_all([*visit.people, *visit.others])

    async def _arrive(self, visit: Visit) -> None:
        """The first people make the server load what it needs; then the idle ones come; then those who will chat."""
        person, pids = visit.server.person, visit.server.pids()
        first = [person(MOST_STREAMS + number) for number in range(PEOPLE_OF_ONE)]
        await loads.join_all(first, serves=True)
        idle = [person(MOST_STREAMS + PEOPLE_OF_ONE + number) for number in range(self._idle_sockets)]
        reading = await loads.measure_idle(visit.server, idle)
        self.readings.append(reading)
        visit.kib_idle, idle_kib = reading.values["kib_idle"], memory_kib(pids)
        visit.people = [person(number) for number in range(self._streams())]
        await loads.join_all(visit.people, serves=True)
        await asyncio.sleep(loads.SETTLE_SECONDS)
        visit.memory_kib = memory_kib(pids)
        grown_kib = visit.memory_kib - idle_kib
        self.readings.append(
            loads.measure_served(visit.server, visit.people, grown_kib=grown_kib, kib_idle=visit.kib_idle)
        )
        visit.others = [*first, *idle]

    def _streams(self) -> int:
        chosen = self._chosen()
        return max([PEOPLE_OF_ONE, *(load.streams for load in STREAM_LOADS if load.name in chosen)])

    async def _put_on(self, visit: Visit, load: Load) -> Reading:
        reading = await loads.measure_streams(
            visit.server, self._cores, visit.people, self._sized(load), self._upstream
        )
        grown = (reading.values["memory_kib"] - visit.memory_kib) / load.streams
        return replace(reading, values={**reading.values, "kib_active": visit.kib_idle + grown})

    def _sized(self, load: Load) -> Load:
        return replace(load, seconds=load.seconds / 2) if self._options.quick else load

    # What a long prompt adds

    def _prompts(self) -> None:
        columns = [name for name in self._columns() if name not in PEERS]
        for _ in range(self._options.passes):
            for name in columns:
                with self._server(name) as server:
                    assert isinstance(server, OurServer)
                    asyncio.run(self._measure_prompts(server))
        self._print_table(PROMPT_LINES, columns, self._ratios(columns))

    async def _measure_prompts(self, server: OurServer) -> None:
        people: dict[str, Person] = {
            NEITHER: server.person(1),
            PREFIX: server.person_of("long", 2),
            HISTORY: server.person_with_history(),
        }
        await loads.join_all(list(people.values()), serves=True)
        for _ in range(1 if self._options.quick else 2):
            for name, person in people.items():
                self.readings.append(await loads.measure_one(server, self._cores, [person], name=name))
        await loads.leave_all(list(people.values()))

    # One process and two

    def _processes(self) -> None:
        if not self._checkouts[OURS].has_processes():
            print("one process and two: not measured: `serve` has no --processes\n")
            return
        columns = {ONE_PROCESS: 1, TWO_PROCESSES: 2}
        for _ in range(self._options.passes):
            for name, count in columns.items():
                with self._server(OURS + ON_POSTGRES, processes=count) as server:
                    server.name = name
                    self.readings.append(asyncio.run(self._measure_short_turns(server)))
        self._print_table(PROCESS_LINES, list(columns), [Ratio(server=TWO_PROCESSES, of=ONE_PROCESS)])

    async def _measure_short_turns(self, server: Server) -> Reading:
        people = [server.person(number) for number in range(SHORT_TURNS.streams)]
        await loads.join_all(people, serves=True)
        reading = await loads.measure_streams(server, self._cores, people, SHORT_TURNS, self._upstream)
        await loads.leave_all(people)
        per_turn = reading.values["cpu_per_1000_tokens"] * SHORT_TURNS.tokens / 1000
        return replace(reading, values={**reading.values, "cpu_per_turn": per_turn})

    # What a turn asks of others

    def _counts(self) -> None:
        for name in (one for one in self._columns() if one not in PEERS):
            with self._server(name, instrument="counts.py") as server:
                assert isinstance(server, OurServer)
                self.counts |= asyncio.run(self._count(server))
        if self.counts:
            _print(costs.cost_table(self.counts))

    async def _count(self, server: OurServer) -> dict[str, dict[str, float]]:
        person = server.person(1)
        cases: dict[str, OurPerson] = {
            server.name: person,
            f"{server.name}, 1,000 messages": server.person_with_history(),
            f"{server.name}, typing first": server.person_of("plain", 2, types=True),
        }
        await loads.join_all(list(cases.values()), serves=True)
        found = {}
        for name, one in cases.items():
            found[name], events = await costs.count_turns(server, one)
            if self._options.trace:
                _print([f"{name}, one turn, in ms:", *costs.trace(events)])
        tabs = [server.person(1) for _ in range(TABS - 1)]
        await loads.join_all(tabs, serves=False)
        found[f"{server.name}, {TABS} tabs"], _ = await costs.count_turns(server, person)
        await loads.leave_all([*cases.values(), *tabs])
        return found


def _print(lines: Sequence[str]) -> None:
    print("\n".join(lines), end="\n\n", flush=True)
