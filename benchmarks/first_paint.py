"""The first paint of the chat on a cold cache, in a Chromium four times slower than this machine, and the bytes on the
wire until a first message can be written: of code (scripts and styles), and of everything."""

import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.browsers import Chromium, chromium_executable
from tests.servers.chat_server import ROOT, ChatServer, clean_environment

SLOW_DOWN = 4
TIMES = 5
CODE = ("Script", "Stylesheet")
PAINTED = """
() => new Promise((resolve) => new PerformanceObserver((list) => {
  const paint = list.getEntriesByName("first-contentful-paint")[0]
  if (paint) resolve(paint.startTime)
}).observe({ type: "paint", buffered: true }))
"""


def run() -> None:
    with tempfile.TemporaryDirectory() as folder:
        static_root = str(Path(folder) / "static")
        environment = {**clean_environment(), "STATIC_ROOT": static_root}
        collect = [sys.executable, "manage.py", "collectstatic", "--noinput", "--verbosity", "0"]
        subprocess.run(collect, cwd=ROOT, env=environment, check=True)
        database_url = f"sqlite:///{folder}/db.sqlite3"
        with (
            ChatServer(database_url=database_url, users=("ann",), environment={"STATIC_ROOT": static_root}) as server,
            Chromium(chromium_executable()) as chromium,
        ):
            _print([_open(server, chromium) for _ in range(TIMES + 1)][1:])


def _open(server: ChatServer, chromium: Chromium) -> dict[str, float]:
    """Milliseconds to the first paint and until the page is ready, bytes of code and of all."""
    with chromium.contexts() as contexts:
        page = contexts.open_page("about:blank", user=None)
        address = {"name": "sessionid", "value": server.users["ann"].session_key, "domain": "127.0.0.1", "path": "/"}
        page.context.add_cookies([address])
        devtools = page.context.new_cdp_session(page)
        devtools.send("Network.enable")
        devtools.send("Network.setCacheDisabled", {"cacheDisabled": True})
        devtools.send("Emulation.setCPUThrottlingRate", {"rate": SLOW_DOWN})
        kinds: dict[str, str] = {}
        sizes: dict[str, int] = {}
        devtools.on("Network.responseReceived", lambda event: kinds.update({event["requestId"]: event["type"]}))
        devtools.on("Network.dataReceived", lambda event: _add(sizes, event))
        page.goto(server.url)
        page.wait_for_selector("html[data-ready='true']")
        return {
            "paint_ms": page.evaluate(PAINTED),
            "ready_ms": page.evaluate("performance.now()"),
            "code": sum(size for request, size in sizes.items() if kinds.get(request) in CODE),
            "all": sum(sizes.values()),
        }


def _add(sizes: dict[str, int], event: dict[str, Any]) -> None:
    """What has come of a body, as it is compressed on the wire."""
    request = event["requestId"]
    sizes[request] = sizes.get(request, 0) + int(event["encodedDataLength"])


def _print(openings: list[dict[str, float]]) -> None:
    middle = {name: statistics.median(each[name] for each in openings) for name in openings[0]}
    print(
        f"cold cache, {SLOW_DOWN} times slower, medians of {len(openings)}: first paint {middle['paint_ms']:.0f} ms, "
        f"ready {middle['ready_ms']:.0f} ms; {middle['code'] / 1000:.0f} KB of code, "
        f"{middle['all'] / 1000:.0f} KB in all"
    )
