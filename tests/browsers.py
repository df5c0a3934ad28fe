"""A headless Chromium: the distribution's own, driven by Playwright, kept away from the network."""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from tests.servers import PATIENCE_SECONDS, MissingServerError

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

    from tests.servers.chat_server import LiveUser

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    # A page that asks another host for anything fails visibly, and nothing leaves this machine.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
)
TIMEOUT_MS = 1000 * PATIENCE_SECONDS
"""For whatever must happen: only a test that fails waits for this."""


def chromium_executable() -> str:
    """`CHROMIUM` or the first one on PATH."""
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if not found:
        raise MissingServerError("No Chromium on PATH: install one, as with `apt-get install chromium`.")
    return found


class Chromium:
    def __init__(self, executable: str) -> None:
        self._executable = executable

    def __enter__(self) -> Self:
        from playwright.sync_api import sync_playwright

        self._playwright = sync_playwright().start()
        self.browser = self._playwright.chromium.launch(
            executable_path=self._executable, args=list(FLAGS), timeout=TIMEOUT_MS
        )
        return self

    def __exit__(self, *exc: object) -> None:
        self.browser.close()
        self._playwright.stop()

    @contextmanager
    def contexts(self) -> Iterator["Contexts"]:
        contexts = Contexts(self.browser)
        try:
            yield contexts
        finally:
            contexts.close()


class Contexts:
    """The pages of one test, each in a context of its own: own cookies, own storage."""

    def __init__(self, browser: Any) -> None:
        self._browser = browser
        self._contexts: list[BrowserContext] = []
        self.complaints: list[str] = []
        self._forgiven: list[str] = []

    def open_page(self, url: str, *, user: "LiveUser | None" = None, **options: Any) -> "Page":
        """A page at `url`, signed in as `user`; `options` are Playwright's for a context (viewport, color_scheme)."""
        context = self._browser.new_context(**options)
        context.set_default_timeout(TIMEOUT_MS)
        self._contexts.append(context)
        if user is not None:
            host = urlsplit(url).hostname
            context.add_cookies([{"name": "sessionid", "value": user.session_key, "domain": host, "path": "/"}])
        page: Page = context.new_page()
        self.watch(page)
        page.goto(url)
        return page

    def watch(self, page: "Page") -> None:
        page.on("console", self._note_console)
        page.on("pageerror", lambda error: self.complaints.append(f"page error: {error}"))

    def _note_console(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.type}: {message.text}")

    def forgive(self, pattern: str) -> None:
        """Complaints that match are no failure, whether they have come already or come late."""
        self._forgiven.append(pattern)

    def require_quiet_consoles(self) -> None:
        left = [text for text in self.complaints if not any(re.search(pattern, text) for pattern in self._forgiven)]
        assert left == [], left

    def close(self) -> None:
        for context in self._contexts:
            context.close()
