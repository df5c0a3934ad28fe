"""What is made once for all workers of a run, and is gone when the run ends: migrated databases, collected files.

Whatever is made here is only ever read or copied.
"""

import atexit
import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

FOLDER = "TESTS_MADE_ONCE"
"""The variable with the folder that the processes of a run share."""


def shared_folder() -> Path:
    """The run's own; the first process to ask makes it, and removes it when it ends. Processes that it starts
    afterwards inherit it."""
    if FOLDER not in os.environ:
        os.environ[FOLDER] = tempfile.mkdtemp(prefix="warmcache-once-")
        atexit.register(_remove, os.environ[FOLDER], os.getpid())
    return Path(os.environ[FOLDER])


def made_once(name: str, make: Callable[[], str]) -> str:
    """What `make` returns, in whichever process was first; the others wait for it."""
    place = shared_folder() / hashlib.sha256(name.encode()).hexdigest()
    with open(place.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not place.exists():
            made = make()
            place.write_text(made)
        return place.read_text()


def _remove(folder: str, maker: int) -> None:
    if os.getpid() == maker:  # and not in a child that was forked
        shutil.rmtree(folder, ignore_errors=True)
