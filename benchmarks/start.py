"""Time of `make run` for a newcomer: a fresh clone and an empty home folder, from the command to the printed link."""

import os
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from tests.servers.chat_server import ROOT, clean_environment
from tests.servers.ports import free_port

LATER_STARTS = 3


def run() -> None:
    """Prints the time of the first start, which installs everything, and of the starts after it."""
    with tempfile.TemporaryDirectory() as folder:
        clone, home = Path(folder, "clone"), Path(folder, "home")
        home.mkdir()
        subprocess.check_call(["git", "clone", "--quiet", str(ROOT), str(clone)])
        environment = clean_environment(HOME=str(home), PORT=str(free_port()))
        for name in ("SECRET_KEY", "VIRTUAL_ENV", "MAKEFLAGS", "MAKELEVEL"):
            environment.pop(name, None)
        print(f"first start: {_seconds_to_link(clone, environment):.1f} s", flush=True)
        later = [_seconds_to_link(clone, environment) for _ in range(LATER_STARTS)]
        print(f"later starts: {', '.join(f'{seconds:.1f} s' for seconds in later)}", flush=True)


def _seconds_to_link(clone: Path, environment: dict[str, str]) -> float:
    began = time.monotonic()
    demo = subprocess.Popen(
        ["make", "run"],
        cwd=clone,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    assert demo.stdout is not None
    line = demo.stdout.readline()
    seconds = time.monotonic() - began
    os.killpg(demo.pid, signal.SIGINT)
    demo.communicate(timeout=30)
    if "/sign-in/" not in line:
        raise SystemExit("`make run` printed no link; run it by hand to see why.")
    return seconds
