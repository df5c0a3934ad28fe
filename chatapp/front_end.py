"""What the pages load in a browser: our own modules, and files of npm packages."""

import os
import re
import shutil
import tempfile
from functools import cache
from pathlib import Path

from django.conf import settings
from django.contrib.staticfiles import finders
from django.contrib.staticfiles.storage import staticfiles_storage

# Bare names of the npm packages, with the file of each that a browser can load directly.
PACKAGES = {
    "dompurify": "npm/dompurify/purify.es.mjs",
    "highlight.js": "npm/highlight.js/es/highlight.min.js",
    "katex": "npm/katex/katex.mjs",
    "markdown-it": "npm/markdown-it/markdown-it.esm.min.mjs",
}

MATHS_STYLES = "npm/katex/katex.min.css"
FILES = (*PACKAGES.values(), MATHS_STYLES)

# What `collectstatic` makes of a name; with the ending of a compressed copy, if it is one.
HASHED_NAME = re.compile(r"\.[0-9a-f]{12}\.\w+(\.(gz|br|zstd))?$")


def missing_files() -> list[str]:
    """The packages' files that a page would ask for in vain."""
    if settings.COLLECTED and settings.COMMAND != "collectstatic":
        collected = getattr(staticfiles_storage, "hashed_files", {})
        return [name for name in FILES if name not in collected]
    return [name for name in FILES if finders.find(name) is None]


@cache
def release() -> str:
    """Which files this process's pages load: when they were collected, and a hash of their names, as
    `1764400000.0123456789ab`. Empty where names have no hashes, since a page then notices no change.

    The time tells the newer of two releases, the hash whether they differ at all.
    """
    manifest_hash = getattr(staticfiles_storage, "manifest_hash", "")
    if not manifest_hash:
        return ""
    return f"{int(os.stat(staticfiles_storage.path('staticfiles.json')).st_mtime)}.{manifest_hash}"


def keep_files() -> None:
    """Copies the collected files into `KEPT_STATIC_ROOT`, if there is one, beside those of other releases."""
    if not settings.KEPT_STATIC_ROOT or not settings.COLLECTED:
        return
    for path in settings.STATIC_ROOT.rglob("*"):
        if HASHED_NAME.search(path.name):
            _copy_whole(path, settings.KEPT_STATIC_ROOT / path.relative_to(settings.STATIC_ROOT))


def _copy_whole(source: Path, target: Path) -> None:
    """Another process may be reading there, or copying the same file."""
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, unfinished = tempfile.mkstemp(dir=target.parent)
    os.close(handle)
    try:
        shutil.copyfile(source, unfinished)
        os.chmod(unfinished, 0o644)
        os.replace(unfinished, target)
    except BaseException:
        os.unlink(unfinished)
        raise
