"""Runs the simulator as a process: listens, prints READY, exits cleanly."""

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from warmcache.simulator.app import create_app
from warmcache.simulator.options import options_from
from warmcache.simulator.provider import Simulator

_SHUTDOWN_SECONDS = 0.1
_READ_BYTES = 4096


def run(flags: Mapping[str, Any]) -> int:
    """Serves until a signal or the end of standard input. Returns the exit code."""
    try:
        return asyncio.run(_serve(flags))
    except KeyboardInterrupt:
        return 0


async def _serve(flags: Mapping[str, Any]) -> int:
    ended = asyncio.Event()
    _end_on_signals(ended, is_child=flags["exit_with_stdin"])
    runner = web.AppRunner(
        create_app(Simulator(options_from(flags))),
        handler_cancellation=True,
        access_log=None,
        shutdown_timeout=_SHUTDOWN_SECONDS,
    )
    await runner.setup()
    try:
        site = web.TCPSite(runner, flags["host"], flags["port"], backlog=1024)
        try:
            await site.start()
        except OSError as error:
            sys.stderr.write(_cannot_listen(flags["host"], flags["port"], error))
            return 1
        if flags["exit_with_stdin"]:
            _end_with_stdin(ended)
        _say_ready(flags["host"], runner)
        await ended.wait()
    finally:
        await runner.cleanup()
    return 0


def _end_on_signals(ended: asyncio.Event, *, is_child: bool) -> None:
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    # Ctrl-C reaches the whole terminal. A child process ignores it: its parent may still have replies to finish, and
    # the child ends with the parent.
    loop.add_signal_handler(signal.SIGINT, (lambda: None) if is_child else ended.set)


def _end_with_stdin(ended: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()

    def read_to_the_end() -> None:
        try:
            while os.read(0, _READ_BYTES):
                pass
        except OSError:
            pass
        try:
            loop.call_soon_threadsafe(ended.set)
        except RuntimeError:
            return

    threading.Thread(target=read_to_the_end, name="stdin", daemon=True).start()


def _say_ready(host: str, runner: web.AppRunner) -> None:
    port = runner.addresses[0][1]
    shown = f"[{host}]" if ":" in host else host
    sys.stdout.write(f"READY http://{shown}:{port}\n")
    sys.stdout.flush()


def _cannot_listen(host: str, port: int, error: OSError) -> str:
    reason = (error.strerror or str(error)).lower()
    return f"Cannot listen on {host}:{port} ({reason}): choose another --port, or --port 0 for a free one.\n"
