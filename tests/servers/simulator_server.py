"""A simulator of the tests' own, and the control of one that runs."""

import json
import os
import secrets
import signal
import urllib.request
from typing import Any, Self

from tests.servers import PATIENCE_SECONDS
from tests.servers.fork_server import ForkedProgram
from warmcache.upstream.child_server import READY


class SimulatorServer:
    """`python -m warmcache.simulator` on its own port. The constructor only starts it."""

    def __init__(self, *, profile: str = "instant", noise: float = 0.0) -> None:
        self.api_key = f"simulator-{secrets.token_hex(8)}"
        flags = ["--api-key", self.api_key, "--profile", profile, "--noise", str(noise)]
        program = ["-m", "warmcache.simulator", *flags]
        self._program = ForkedProgram(program, environment=os.environ, shown="stdout")

    def wait_ready(self) -> "SimulatorControl":
        first = self._program.lines.readline().strip()
        assert first.startswith(READY), f"the simulator did not start: {first!r}"
        return SimulatorControl(url=first.removeprefix(READY), api_key=self.api_key)

    def stop(self) -> None:
        self._program.send_signal(signal.SIGTERM)
        self._program.wait()
        self._program.lines.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()


class SimulatorControl:
    """The simulator's control endpoints; see `warmcache/simulator/control.py`."""

    def __init__(self, *, url: str, api_key: str) -> None:
        self.url = url
        self.api_key = api_key

    def fault(self, **fault: Any) -> None:
        self.call("POST", "faults", fault)

    def release(self) -> None:
        """Lets every stalled call continue."""
        self.call("POST", "release")

    def script(self, **reply: Any) -> None:
        self.call("POST", "script", reply)

    def advance(self, seconds: float) -> None:
        """Moves the cache clock."""
        self.call("POST", "advance", {"seconds": seconds})

    def requests(self) -> list[dict[str, Any]]:
        """The journal, oldest first."""
        found: list[dict[str, Any]] = self.call("GET", "requests")["requests"]
        return found

    def reset(self) -> None:
        self.call("POST", "reset")

    def call(self, method: str, name: str, data: Any = None) -> Any:
        body = None if data is None else json.dumps(data).encode()
        headers = {"content-type": "application/json"}
        request = urllib.request.Request(f"{self.url}/simulator/{name}", body, headers, method=method)
        with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as answer:
            return json.loads(answer.read() or b"null")
