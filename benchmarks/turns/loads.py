"""The loads: what many people do on a server at once, and what is measured meanwhile."""

import asyncio
import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.turns.cores import Cores, CoreWatch, cpu_ms, memory_kib
from benchmarks.turns.figures import Reading, percentile
from benchmarks.turns.people import Person, Turn, TurnFailed
from benchmarks.turns.servers import Server, StampedUpstream

SHORT_TURN_TOKENS = 12
LONG_TURN_TOKENS = 120
FLAT_OUT_TOKENS = 1_000
TURNS_OF_ONE_PERSON = 8
"""Turns of one conversation, in sequence: few enough that the history stays short and no limit per person applies."""

SETTLE_SECONDS = 0.1
"""Measuring continues for this long after the end of a reply, because the work that follows is part of its cost."""

JOINING_AT_ONCE = 4
FIRST_ATTEMPTS = 5
IDLE_SOCKETS = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    name: str
    streams: int
    rate: int
    """Tokens a second of each stream; 0: as fast as possible."""
    tokens: int
    """Tokens in one turn."""
    ramp_seconds: float
    """Everybody begins within this time, so that each person is at another point of a turn."""
    seconds: float
    """How long it is measured."""
    has_turns: bool = True
    """False: every reply is longer than the measurement, which then has tokens and no turns."""


IDLE = "idle sockets"
SERVED = "conversations of one turn"
ONE = "1 stream"
TWENTY = "20 streams at 80 tok/s"
HUNDRED = "100 streams at 20 tok/s"
OVERLOAD = "100 streams at 80 tok/s"
FLAT_OUT = "50 streams flat out"
LONG_REPLIES = "20 long replies at 80 tok/s"
STREAM_LOADS = (
    Load(name=HUNDRED, streams=100, rate=20, tokens=LONG_TURN_TOKENS, ramp_seconds=2.5, seconds=5),
    Load(name=TWENTY, streams=20, rate=80, tokens=LONG_TURN_TOKENS, ramp_seconds=1.5, seconds=4),
    Load(name=OVERLOAD, streams=100, rate=80, tokens=LONG_TURN_TOKENS, ramp_seconds=2, seconds=4),
    Load(name=FLAT_OUT, streams=50, rate=0, tokens=FLAT_OUT_TOKENS, ramp_seconds=4, seconds=2.5),
    Load(name=LONG_REPLIES, streams=20, rate=80, tokens=1_600, ramp_seconds=2, seconds=4, has_turns=False),
)
LOAD_NAMES = (ONE, *(load.name for load in STREAM_LOADS))
MOST_STREAMS = 100


class Meter:
    """What the processes of one server use from now on, and how busy both cores are."""

    def __init__(self, server: Server, cores: Cores) -> None:
        self._pids = server.pids()
        self._load, self._other = CoreWatch(cores.load), CoreWatch(cores.server)
        self._cpu_ms, self._began_ns = cpu_ms(self._pids), time.monotonic_ns()

    def cpu_ms(self) -> float:
        return cpu_ms(self._pids) - self._cpu_ms

    def reading(self, server: str, load: str, values: dict[str, float]) -> Reading:
        seconds = (time.monotonic_ns() - self._began_ns) / 1e9
        others_ms = max(0.0, self._other.busy_ms() - self.cpu_ms())
        return Reading(
            server=server,
            load=load,
            values=values,
            load_busy=self._load.busy_share(),
            others=others_ms / (seconds * 1000),
        )


async def join_all(people: Sequence[Person], *, serves: bool) -> None:
    """Connects people, a few at a time; with `serves`, each of them also gets a first reply."""
    gate = asyncio.Semaphore(JOINING_AT_ONCE)

    async def join(person: Person) -> None:
        async with gate:
            await person.join()
            if serves:
                await _first_turn(person)

    await asyncio.gather(*map(join, people))


async def _first_turn(person: Person) -> None:
    """Tries again, because a server that has just started may exceed its own limits."""
    for attempt in range(FIRST_ATTEMPTS):
        try:
            await person.turn(tokens=3, rate=0)
        except TurnFailed:
            if attempt + 1 == FIRST_ATTEMPTS:
                raise
            await asyncio.sleep(1)
        else:
            return


async def measure_idle(server: Server, people: Sequence[Person]) -> Reading:
    """People who join and do nothing."""
    pids = server.pids()
    before = memory_kib(pids)
    await join_all(people, serves=False)
    await asyncio.sleep(SETTLE_SECONDS)
    grown = memory_kib(pids) - before
    # How busy the cores are does not matter: this measures memory, not time.
    return Reading(server=server.name, load=IDLE, values={"kib_idle": grown / len(people)}, load_busy=0.0, others=0.0)


def measure_served(server: Server, people: Sequence[Person], *, grown_kib: int, kib_idle: float) -> Reading:
    """What is kept of each conversation after its first turn, beside its socket, and what the server itself counts as
    its prepared prompt."""
    values = {"kib_kept": grown_kib / len(people) - kib_idle, "kib_prepared": server.kib_per_prepared()}
    return Reading(server=server.name, load=SERVED, values=values, load_busy=0.0, others=0.0)


async def measure_one(server: Server, cores: Cores, people: Sequence[Person], *, name: str = ONE) -> Reading:
    """People who have been served already, one after the other, with a few short turns each."""
    turns: list[Turn] = []
    used_ms = 0.0
    meter = Meter(server, cores)
    for person in people:
        before = meter.cpu_ms()
        for _ in range(TURNS_OF_ONE_PERSON):
            turns.append(await person.turn(tokens=SHORT_TURN_TOKENS, rate=80))
        await asyncio.sleep(SETTLE_SECONDS)
        used_ms += meter.cpu_ms() - before
    values = {
        **latencies(turns),
        "delay_p50": percentile([delay / 1e6 for turn in turns for delay in turn.reply.delays_ns], 50),
        "cpu_per_turn": used_ms / len(turns),
        "bytes_per_turn": sum(turn.bytes_in for turn in turns) / len(turns),
    }
    return meter.reading(server.name, name, values)


async def measure_streams(
    server: Server, cores: Cores, people: Sequence[Person], load: Load, upstream: StampedUpstream
) -> Reading:
    """Everybody chats without a pause. Only what arrives within the measured time counts."""
    crowd = _Crowd(people[: load.streams], load)
    await asyncio.sleep(load.ramp_seconds)
    meter, tokens_before, began_ns = Meter(server, cores), crowd.tokens_read, time.monotonic_ns()
    memory_before = memory_kib(server.pids())
    await asyncio.sleep(load.seconds)
    ended_ns, tokens = time.monotonic_ns(), crowd.tokens_read - tokens_before
    used_ms, seconds = meter.cpu_ms(), (ended_ns - began_ns) / 1e9
    memory = max(memory_before, memory_kib(server.pids()))
    reading = meter.reading(server.name, load.name, {})
    turns = await crowd.end(upstream)
    values = {
        **latencies([turn for turn in turns if began_ns <= turn.reply.first_ns < ended_ns]),
        "delay_p50": percentile(_delays_ms(turns, began_ns, ended_ns), 50),
        "cpu_per_1000_tokens": 1000 * used_ms / tokens if tokens else float("nan"),
        "tokens_per_second": tokens / seconds,
        "memory_kib": memory,
        "failures": crowd.failures,
    }
    return Reading(
        server=server.name, load=load.name, values=values, load_busy=reading.load_busy, others=reading.others
    )


class _Crowd:
    """People who all chat at once, until they are told to end."""

    def __init__(self, people: Sequence[Person], load: Load) -> None:
        self._people = people
        self._load = load
        self._turns: list[Turn] = []
        self._ends = False
        self.failures = 0
        self._tasks = [asyncio.create_task(self._chat(place, person)) for place, person in enumerate(people)]

    @property
    def tokens_read(self) -> int:
        return sum(person.tokens_read for person in self._people)

    async def end(self, upstream: StampedUpstream) -> list[Turn]:
        """Hurries what still runs and returns all turns once the last has ended. Raises any person's error."""
        self._ends = True
        await upstream.hurry(on=True)
        await asyncio.gather(*self._tasks)
        await upstream.hurry(on=False)
        return self._turns

    async def _chat(self, place: int, person: Person) -> None:
        share = (place + 1) / len(self._people)
        await asyncio.sleep(self._load.ramp_seconds * share * 0.8)
        tokens = max(1, round(self._load.tokens * share)) if self._load.has_turns else self._load.tokens
        while not self._ends:
            try:
                self._turns.append(await person.turn(tokens=tokens, rate=self._load.rate))
            except TurnFailed:
                self.failures += 1
                await asyncio.sleep(0.5)
            tokens = self._load.tokens


def latencies(turns: Sequence[Turn]) -> dict[str, float]:
    added = [turn.added_ttft_ms for turn in turns]
    return {"ttft_p50": percentile(added, 50), "ttft_p95": percentile(added, 95), "turns": len(turns)}


def _delays_ms(turns: Sequence[Turn], began_ns: int, ended_ns: int) -> list[float]:
    return [
        delay / 1e6
        for turn in turns
        for arrived, delay in zip(turn.reply.arrived_ns, turn.reply.delays_ns, strict=True)
        if began_ns <= arrived < ended_ns
    ]


async def leave_all(people: Sequence[Person]) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(asyncio.gather(*(person.leave() for person in people)), 10)
