"""What a hostile part costs the server, and what others feel meanwhile."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.sockets import cpu_seconds, memory_kib, percentile, watch_latency
from tests.servers.chat_server import ChatServer

SAMPLE_SECONDS = 0.05


@dataclass(slots=True)
class Figures:
    """Filled while the part runs."""

    others: list[float] = field(default_factory=list)
    seconds: float = 0.0
    grown_mib: float = 0.0
    """At most, of the server and its children, above the beginning."""
    stored_mib: float = 0.0
    """By how much the database's files have grown."""
    processor_seconds: float = 0.0

    def __str__(self) -> str:
        return (
            f"{self.seconds:.1f} s; at most {self.grown_mib:+.0f} MiB of memory, {self.stored_mib:+.1f} MiB on disk, "
            f"{self.processor_seconds:.1f} s of CPU; ping of others p50 {percentile(self.others, 50):.0f}, "
            f"p99 {percentile(self.others, 99):.0f}, most {max(self.others, default=0) * 1000:.0f} ms"
        )


@asynccontextmanager
async def figures(server: ChatServer) -> AsyncIterator[Figures]:
    found = Figures()
    async with watch_latency(server) as others:
        found.others = others
        memory, disk, cpu, began = _with_children(server), _disk_bytes(server), cpu_seconds(server), time.monotonic()
        sampling = asyncio.create_task(_sample(server, memory, found))
        yield found
        sampling.cancel()
        await asyncio.wait({sampling})
        found.seconds = time.monotonic() - began
        found.processor_seconds = cpu_seconds(server) - cpu
        found.stored_mib = (_disk_bytes(server) - disk) / 2**20


def told(name: str, what: str, outcomes: Mapping[str, int], found: Figures) -> None:
    counts = ", ".join(f"{count:,} {outcome}" for outcome, count in sorted(outcomes.items())) or "nothing"
    print(f"{name}: {what}: {counts}; {found}", flush=True)


async def _sample(server: ChatServer, before: int, found: Figures) -> None:
    while True:
        found.grown_mib = max(found.grown_mib, (_with_children(server) - before) / 1024)
        await asyncio.sleep(SAMPLE_SECONDS)


def _with_children(server: ChatServer) -> int:
    """KiB of resident memory; a reader of PDF files is a child of the server."""
    assert server.process is not None
    total = memory_kib(server)
    for thread in Path(f"/proc/{server.process.pid}/task").iterdir():
        with contextlib.suppress(OSError):
            for child in (thread / "children").read_text().split():
                total += _resident_kib(int(child))
    return total


def _resident_kib(pid: int) -> int:
    with contextlib.suppress(OSError, IndexError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4
    return 0


def _disk_bytes(server: ChatServer) -> int:
    path = server.database_url.removeprefix("sqlite:///")
    return sum(Path(path + end).stat().st_size for end in ("", "-wal") if Path(path + end).exists())
