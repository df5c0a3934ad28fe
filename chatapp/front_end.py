"""What the pages load in a browser: our own modules, and files of npm packages."""

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


def missing_files() -> list[str]:
    """The packages' files that a page would ask for in vain."""
    if settings.COLLECTED and settings.COMMAND != "collectstatic":
        collected = getattr(staticfiles_storage, "hashed_files", {})
        return [name for name in FILES if name not in collected]
    return [name for name in FILES if finders.find(name) is None]
