"""Asks the operating system which processes run."""

import os
import time
from pathlib import Path

from tests.servers import PATIENCE_SECONDS


def is_running(pid: int) -> bool:
    """False also for a zombie: a process that has ended but that its parent has not yet waited for."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def children_of(pid: int) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(path.read_text().rpartition(")")[2].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
        if parent == pid:
            found.append(int(path.parent.name))
    return found


def wait_until_gone(pid: int, seconds: float = PATIENCE_SECONDS) -> bool:
    """Returns whether the process has ended within the time."""
    deadline = time.monotonic() + seconds
    while is_running(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not is_running(pid)


def resident_bytes(pid: int) -> int:
    """How much memory it has."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
