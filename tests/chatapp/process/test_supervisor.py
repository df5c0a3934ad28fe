"""The parent of several server processes; they are small scripts here that only speak its language."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import pytest

from chatapp.process import restarts
from chatapp.process.restarts import MAX_EARLY_DEATHS
from chatapp.process.supervisor import Supervisor
from chatapp.server.listening import listen
from tests.servers import PATIENCE_SECONDS
from tests.servers.processes import is_running

MEMBER = """
import json, os, socket, sys
REPORT = "# TYPE held gauge" + chr(10) + "held 2" + chr(10)
folder, behaviour, listener, line_end = sys.argv[1:]
line = socket.socket(fileno=int(line_end))

def say(kind, **fields):
    line.sendall(json.dumps({"kind": kind, **fields}).encode() + bytes([10]))

def note(word):
    with open(f"{folder}/notes", "a") as notes:
        notes.write(f"{os.getpid()} {word}" + chr(10))

note("started")
if behaviour == "dies":
    sys.exit(3)
say("ready")
for text in line.makefile():
    message = json.loads(text)
    note(message["kind"])
    match message["kind"]:
        case "report":
            say("report", text=REPORT)
        case "complete":
            say("ask", number=7)
        case "drain" if behaviour == "obeys":
            sys.exit(0)
        case "end":
            sys.exit(0)
        case "sum":
            note(message["text"].replace(chr(10), "|"))
"""


class World:
    def __init__(self, folder: Path, listener: socket.socket) -> None:
        self.folder = folder
        self.listener = listener
        self.ready = asyncio.Event()
        self.supervisor: Supervisor
        self.running: asyncio.Task[int]

    def start(self, behaviour: str, *, count: int = 2) -> None:
        def command(listener: socket.socket, line_end: socket.socket) -> Sequence[str]:
            sockets = [str(listener.fileno()), str(line_end.fileno())]
            return [sys.executable, "-c", MEMBER, str(self.folder), behaviour, *sockets]

        self.supervisor = Supervisor(
            self.listener, count=count, environment={}, on_ready=self.ready.set, command=command
        )
        self.running = asyncio.create_task(self.supervisor.run())

    def notes(self) -> list[tuple[int, str]]:
        path = self.folder / "notes"
        lines = path.read_text().splitlines() if path.exists() else []
        return [(int(pid), word) for pid, word in (line.split(" ", 1) for line in lines)]

    def pids(self) -> list[int]:
        return [pid for pid, word in self.notes() if word == "started"]

    async def until(self, is_so: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not is_so():  # noqa: ASYNC110 - other processes write the notes
                await asyncio.sleep(0.02)

    async def serves(self) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await self.ready.wait()

    async def ended(self) -> int:
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await self.running


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    with listen("127.0.0.1", 0) as listener:
        world = World(tmp_path, listener)
        yield world
        if not world.running.done():
            world.supervisor.take_signal()
            world.supervisor.take_signal()
            await world.ended()


async def test_it_is_ready_when_all_are_and_tells_them(world: World) -> None:
    world.start("obeys", count=3)

    await world.serves()
    await world.until(lambda: sum(word == "complete" for _, word in world.notes()) == 3)

    assert len(world.pids()) == 3
    assert world.notes().index((world.pids()[-1], "started")) < [word for _, word in world.notes()].index("complete")


async def test_one_that_asks_for_metrics_hears_the_sum_over_all(world: World) -> None:
    world.start("obeys", count=3)
    await world.serves()

    await world.until(lambda: any("held 6.0" in word for _, word in world.notes()))

    assert [word for _, word in world.notes()].count("report") >= 3


async def test_one_signal_ends_all_of_them_together(world: World) -> None:
    world.start("obeys")
    await world.serves()

    world.supervisor.take_signal()

    assert await world.ended() == 0
    assert [word for _, word in world.notes()].count("drain") == 2
    assert not any(is_running(pid) for pid in world.pids())


async def test_one_that_is_killed_is_replaced_and_the_others_go_on(world: World, caplog) -> None:
    world.start("obeys")
    await world.serves()
    killed, other = world.pids()

    os.kill(killed, signal.SIGKILL)
    await world.until(lambda: len(world.pids()) == 3)
    newcomer = world.pids()[-1]
    await world.until(lambda: (newcomer, "complete") in world.notes())

    assert is_running(other)
    assert f"Server process {killed} ended with signal 9; another one is started in 0.5 s." in caplog.text


async def test_where_they_die_at_once_again_and_again_it_ends_and_says_so(world: World, caplog, monkeypatch) -> None:
    monkeypatch.setattr(restarts, "FIRST_PAUSE_SECONDS", 0.001)
    world.start("dies")

    assert await world.ended() == 1
    assert len(world.pids()) <= MAX_EARLY_DEATHS + 1
    assert not world.ready.is_set()
    assert (
        f"died {MAX_EARLY_DEATHS} times in a row right after their start, the last one with exit code 3" in caplog.text
    )


async def test_a_second_signal_ends_at_once_those_that_take_their_time(world: World) -> None:
    world.start("takes its time")
    await world.serves()
    world.supervisor.take_signal()
    await world.until(lambda: [word for _, word in world.notes()].count("drain") == 2)

    world.supervisor.take_signal()

    assert await world.ended() == 0
    assert not any(is_running(pid) for pid in world.pids())


async def test_those_that_do_not_end_in_time_are_killed(world: World, settings, caplog) -> None:
    settings.SHUTDOWN_SECONDS = 0.01
    world.start("takes its time")
    await world.serves()

    world.supervisor.take_signal()

    assert await world.ended() == 1
    assert caplog.text.count("did not end in time and is killed") == 2
    assert not any(is_running(pid) for pid in world.pids())
