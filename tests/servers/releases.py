"""Collected files of this version, and of a next one that differs in some of them."""

import gzip
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.servers.chat_server import ROOT, clean_environment
from tests.servers.once import made_once, shared_folder

STATIC_URL = re.compile(r"/static/[\w./-]+\.[0-9a-f]{12}\.\w+")
MANIFEST = "staticfiles.json"


def collect(folder: Path) -> dict[str, str]:
    """Runs `collectstatic`; gives the environment of a server that serves the result."""
    command = [sys.executable, "manage.py", "collectstatic", "--no-input", "--verbosity", "0"]
    subprocess.run(command, cwd=ROOT, env=clean_environment(STATIC_ROOT=str(folder)), check=True)
    return {"STATIC_ROOT": str(folder)}


def collected_once() -> dict[str, str]:
    """The environment of a server of this version's files; they are collected once for all workers of a run."""
    folder = shared_folder() / "static"

    def make() -> str:
        collect(folder)
        return str(folder)

    return {"STATIC_ROOT": made_once("collected files", make)}


def next_release(before: Path, folder: Path, *, added: Mapping[str, str]) -> dict[str, str]:
    """The files of `before` as `collectstatic` would lay them out with more at the end of some; `added` has their
    names. Collecting once more would take as long as everything else in a test."""
    shutil.copytree(before, folder, copy_function=os.link)
    manifest = json.loads((before / MANIFEST).read_text())
    paths: dict[str, str] = manifest["paths"]
    for name, addition in added.items():
        old = folder / paths[name]
        content = old.read_bytes() + addition.encode()
        stem, ending = os.path.splitext(name)
        paths[name] = f"{stem}.{hashlib.md5(content, usedforsecurity=False).hexdigest()[:12]}{ending}"
        for gone in old.parent.glob(f"{old.name}*"):
            gone.unlink()
        (folder / paths[name]).write_bytes(content)
        (folder / f"{paths[name]}.gz").write_bytes(gzip.compress(content))
    digest = hashlib.md5(json.dumps(sorted(paths.items())).encode(), usedforsecurity=False).hexdigest()[:12]
    (folder / MANIFEST).unlink()
    (folder / MANIFEST).write_text(json.dumps({"paths": paths, "version": manifest["version"], "hash": digest}))
    return {"STATIC_ROOT": str(folder)}


def files_of(page: str) -> set[str]:
    """Every file of our own that a page may ask for, those of the import map among them."""
    return set(STATIC_URL.findall(page))
