"""Collected files of this version, and of a next one that differs in some of them."""

import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.servers import PATIENCE_SECONDS
from tests.servers.chat_server import ROOT, clean_environment

STATIC_URL = re.compile(r"/static/[\w./-]+\.[0-9a-f]{12}\.\w+")


def collect(folder: Path, *, changed: Mapping[str, str] | None = None, scratch: Path | None = None) -> dict[str, str]:
    """Runs `collectstatic`; gives the environment of a server that serves the result. Each of `changed` is the name of
    a static file and what is written at its end."""
    environment = clean_environment(STATIC_ROOT=str(folder))
    if changed:
        assert scratch is not None
        for name, addition in changed.items():
            target = scratch / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text((ROOT / "static" / name).read_text() + addition)
        environment |= {"DJANGO_SETTINGS_MODULE": "tests.servers.next_release", "NEXT_STATIC": str(scratch)}
    command = [sys.executable, "manage.py", "collectstatic", "--no-input", "--verbosity", "0"]
    subprocess.run(command, cwd=ROOT, env=environment, check=True, timeout=PATIENCE_SECONDS * 4)
    return {"STATIC_ROOT": str(folder)}


def files_of(page: str) -> set[str]:
    """Every file of our own that a page may ask for, those of the import map among them."""
    return set(STATIC_URL.findall(page))
