"""Assigns cores to processes and reads what processes use. Linux only: it reads /proc."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

from tests.servers import MissingServerError
from tests.servers.processes import children_of

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cores:
    server: int
    load: int


def choose_cores() -> Cores:
    """A core for the servers and one for the load. Raises `MissingServerError` if there is only one core."""
    if not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2:
        raise MissingServerError("a server and its load need a core each, on Linux")
    load, server, *_ = sorted(os.sched_getaffinity(0))
    return Cores(server=server, load=load)


def family(pid: int) -> list[int]:
    """A process and all its descendants."""
    found = [pid]
    for child in children_of(pid):
        found += family(child)
    return found


def cpu_ms(pids: list[int]) -> float:
    """Processor time of these processes so far, over all threads."""
    # The clock id that the system uses for "the processor time of that process".
    return sum(time.clock_gettime_ns(~pid << 3 | 2) for pid in pids) / 1e6


def memory_kib(pids: list[int]) -> int:
    """Memory of these processes that is not backed by a file."""
    found = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                found += int(line.split()[1])
    return found


class CoreWatch:
    """How busy a core is from now on, whichever process uses it."""

    def __init__(self, core: int) -> None:
        self._core = core
        self._began = self._read()

    def busy_share(self) -> float:
        busy, idle = (now - then for now, then in zip(self._read(), self._began, strict=True))
        return busy / (busy + idle) if busy + idle else 0.0

    def busy_ms(self) -> float:
        return (self._read()[0] - self._began[0]) * 1000 / TICKS_PER_SECOND

    def _read(self) -> tuple[int, int]:
        for line in Path("/proc/stat").read_text().splitlines():
            if line.startswith(f"cpu{self._core} "):
                user, nice, system, idle, waiting, *others = map(int, line.split()[1:9])
                return user + nice + system + sum(others), idle + waiting
        raise LookupError(f"the system tells nothing of core {self._core}")
