"""Samples where a server's processor time goes.

A system timer interrupts the process after every few milliseconds of processor time. Each thread's own clock says how
much of that time was its own, and its stack says where it is: a thread that has computed and waits again by now is
counted at the place where it waits.
"""

import signal
import sys
import threading
import time
from collections import Counter
from types import FrameType
from typing import Any

from under_watch import serve_under

EVERY_SECONDS = 0.002
SWITCH_SECONDS = 0.0002
"""Otherwise a thread that computes would be sampled only where it releases the interpreter: at its next wait."""
OURS = ("chatapp", "warmcache")
WAITS = ("selectors", "concurrent.futures.thread", "threading", "queue")
WAITING = "(waits again)"

own: Counter[str] = Counter()
"""Keyed by the module that computed."""
under: Counter[str] = Counter()
"""Keyed by the nearest function of this project up the stack."""
threads: Counter[str] = Counter()
clocks: dict[int, int] = {}


def sample(signal_number: int, frame: FrameType | None) -> None:
    frames: dict[int, Any] = sys._current_frames()
    if frame is not None:
        frames[threading.get_ident()] = frame
    for thread in threading.enumerate():
        top = frames.get(thread.ident or 0)
        if top is None or thread.ident is None:
            continue
        try:
            now_ns = time.clock_gettime_ns(time.pthread_getcpuclockid(thread.ident))
        except OSError:
            continue
        spent_ns = now_ns - clocks.get(thread.ident, now_ns)
        clocks[thread.ident] = now_ns
        if spent_ns:
            credit(thread.name, top, spent_ns)


def credit(thread: str, top: FrameType, spent_ns: int) -> None:
    threads["main" if thread == "MainThread" else thread.rstrip("0123456789_")] += spent_ns
    place = top.f_globals.get("__name__", "?")
    if place in WAITS:
        own[WAITING] += spent_ns
        under[WAITING] += spent_ns
        return
    own[place] += spent_ns
    frame: FrameType | None = top
    while frame is not None:
        module = frame.f_globals.get("__name__", "?")
        if module.partition(".")[0] in OURS:
            under[f"{module}.{frame.f_code.co_qualname}"] += spent_ns
            return
        frame = frame.f_back
    under["(nothing of ours)"] += spent_ns


def take() -> dict[str, dict[str, int]]:
    taken = {"own": dict(own), "under": dict(under), "threads": dict(threads)}
    for counter in (own, under, threads):
        counter.clear()
    return taken


sys.setswitchinterval(SWITCH_SECONDS)
signal.signal(signal.SIGPROF, sample)
signal.setitimer(signal.ITIMER_PROF, EVERY_SECONDS, EVERY_SECONDS)
serve_under(take)
