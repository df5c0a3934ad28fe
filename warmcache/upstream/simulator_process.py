"""The simulator as a child process."""

import secrets
import sys

from warmcache.upstream.child_server import ChildServer


class SimulatorProcess(ChildServer):
    """A running `python -m warmcache.simulator` on its own port."""

    def __init__(self, *, profile: str = "auto", seed: int = 1, noise: float = 0.25, port: int = 0) -> None:
        self.api_key = f"simulator-{secrets.token_hex(8)}"
        options = {"host": "127.0.0.1", "port": port, "profile": profile, "seed": seed, "noise": noise}
        flags = [text for name, value in options.items() for text in (f"--{name}", str(value))]
        command = [sys.executable, "-m", "warmcache.simulator", "--exit-with-stdin", "--api-key", self.api_key, *flags]
        super().__init__(command, name="The simulator", way_on="`python -m warmcache.simulator` starts it alone.")
