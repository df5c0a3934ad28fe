"""How long the replay takes: `warmcache_replay` with its defaults over the recorded traces, one source after another.

The folder is the command's default; the environment variable TRACES names another.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

from tests.servers.chat_server import ROOT, clean_environment
from warmcache.management.commands.warmcache_replay import DEFAULT_TRACES
from warmcache.replay.traces import SOURCES, read_trace


def run() -> None:
    """Prints requests and wall time of each source, all models and latency profiles, the sweep included."""
    folder = Path(os.environ.get("TRACES") or ROOT / DEFAULT_TRACES)
    for source in SOURCES:
        if not (folder / f"{source}.csv.gz").is_file():
            print(f"  {source}: not measured, as it is not in {folder}; TRACES names another folder")
            continue
        began = time.monotonic()
        words = [sys.executable, "manage.py", "warmcache_replay", "--traces", str(folder), "--sources", source]
        subprocess.run(words, cwd=ROOT, env=clean_environment(), check=True, stdout=subprocess.DEVNULL)
        seconds = time.monotonic() - began
        print(f"  {source}: {read_trace(folder, source).requests:,} requests, {seconds:.1f} s", flush=True)
