"""One of several server processes: what it does on its supervisor's words."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest

from chatapp.process import metrics
from chatapp.process.control_line import MAX_LINE_BYTES
from chatapp.process.health import health
from chatapp.process.member import Member
from tests.servers import PATIENCE_SECONDS


class Supervisor:
    """The other end of the line."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.obeyed: asyncio.Queue[str] = asyncio.Queue()

    def say(self, kind: str, **fields: Any) -> None:
        self._writer.write(json.dumps({"kind": kind, **fields}).encode() + b"\n")

    async def hear(self) -> dict[str, Any]:
        async with asyncio.timeout(PATIENCE_SECONDS):
            message: dict[str, Any] = json.loads(await self._reader.readline())
        return message

    async def next_obeyed(self) -> str:
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await self.obeyed.get()

    async def die(self) -> None:
        self._writer.close()
        await self._writer.wait_closed()


@pytest.fixture
async def line(monkeypatch) -> AsyncIterator[tuple[Member, Supervisor]]:
    monkeypatch.setattr(metrics, "_of_all", metrics.of_this_process)
    ours, theirs = socket.socketpair()
    supervisor = Supervisor(*await asyncio.open_connection(sock=ours, limit=MAX_LINE_BYTES))
    member = Member(theirs)
    await member.join(
        drain=lambda: supervisor.obeyed.put_nowait("drain"), end=lambda: supervisor.obeyed.put_nowait("end")
    )
    yield member, supervisor
    await member.leave()
    await supervisor.die()
    health.others_start.clear()


async def test_it_is_not_ready_before_all_the_others_are(line):
    member, supervisor = line
    before = health.trouble()

    member.tell_ready()
    said = await supervisor.hear()
    supervisor.say("complete")
    supervisor.say("drain")
    await supervisor.next_obeyed()

    assert (before, said) == ("starting", {"kind": "ready"})
    assert not health.others_start.is_set()


async def test_it_drains_and_ends_when_it_is_told(line):
    _, supervisor = line

    supervisor.say("drain")
    supervisor.say("end")

    assert [await supervisor.next_obeyed(), await supervisor.next_obeyed()] == ["drain", "end"]


async def test_it_drains_when_its_supervisor_has_died(line):
    _, supervisor = line

    await supervisor.die()

    assert await supervisor.next_obeyed() == "drain"


async def test_metrics_are_those_that_the_supervisor_has_added_up(line):
    _, supervisor = line
    asking = asyncio.create_task(asyncio.to_thread(metrics._of_all))

    asked = await supervisor.hear()
    supervisor.say("sum", number=asked["number"] + 1, text="of somebody else's question")
    supervisor.say("sum", number=asked["number"], text="the sum")

    assert asked["kind"] == "ask"
    assert await asking == b"the sum"


async def test_it_reports_when_it_is_asked_and_a_last_time_when_it_leaves(line):
    member, supervisor = line

    supervisor.say("report")
    asked = await supervisor.hear()
    await member.leave()
    last = await supervisor.hear()

    for report in (asked, last):
        assert report["kind"] == "report"
        assert "warmcache_open_sockets" in report["text"]
