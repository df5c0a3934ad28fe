"""What a WebSocket conformance suite says of the server that `serve` runs.

The suite speaks to an echo instead of the chat, and our limits are lifted: it sends messages of 16 MiB in 65,536
pieces, and takes a ping of ours between two messages for an error. It is kosoku, which runs the cases of the Autobahn
suite; `make setup` installs it. `docs/performance.md` has the result.
"""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

UNLIMITED = 2**30
QUIET = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
"""The suite names each case of compression, too."""
PASSED = {"OK", "NON-STRICT", "INFORMATIONAL", "UNIMPLEMENTED"}


def run() -> None:
    tool = Path(sys.executable).parent / "kosoku"
    if not tool.exists():
        print("not measured: kosoku is not installed (make setup)")
        return
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "benchmarks.conformance"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            try:
                assert server.stdout is not None
                address = server.stdout.readline().strip()
                subprocess.run([str(tool), "--outdir", folder, address], check=False, **QUIET)
            finally:
                server.terminate()
        _report(json.loads((Path(folder) / "index.json").read_text()))


def _report(index: dict[str, dict[str, dict[str, Any]]]) -> None:
    (cases,) = index.values()
    found = Counter(case["behavior"] for case in cases.values())
    print(f"conformance: {len(cases)} cases, {', '.join(f'{count} {name}' for name, count in sorted(found.items()))}")
    for name, case in cases.items():
        if case["behavior"] not in PASSED or case.get("behaviorClose", "OK") not in PASSED:
            print(
                f"  {name}: {case['behavior']}, close {case.get('behaviorClose')}, code {case.get('remoteCloseCode')}"
            )


async def echo(
    scope: dict[str, Any],
    receive: Callable[[], Awaitable[dict[str, Any]]],
    send: Callable[[dict[str, Any]], Awaitable[None]],
) -> None:
    from autobahn.exception import Disconnected

    await receive()
    await send({"type": "websocket.accept"})
    while (event := await receive())["type"] == "websocket.receive":
        kept = {name: event[name] for name in ("text", "bytes") if event.get(name) is not None}
        # Many cases close the connection before the echo comes.
        with contextlib.suppress(Disconnected):
            await send({"type": "websocket.send", **kept})


def serve() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chatapp.settings")
    import django

    django.setup()
    from chatapp.process import shutdown
    from chatapp.server import daphne_server, listening, paced_socket
    from chatapp.server.daphne_server import ChatServer

    daphne_server.CONNECTION_BYTES = paced_socket.PING_BYTES = paced_socket.WINDOW_BYTES = UNLIMITED
    daphne_server.PING_INTERVAL_SECONDS = paced_socket.MESSAGE_SECONDS = paced_socket.UNTIMED_BYTES = UNLIMITED
    paced_socket.LIMITS = dict.fromkeys(paced_socket.LIMITS, UNLIMITED)

    async def nothing() -> None:
        return None

    listener = listening.listen("127.0.0.1", 0)
    address = f"ws://127.0.0.1:{listener.getsockname()[1]}"
    server = ChatServer(
        echo,
        listener=listener,
        startup=nothing,
        plan_shutdown=shutdown.of_server,
        on_ready=lambda: print(address, flush=True),
    )
    server.run()


if __name__ == "__main__":
    serve()
