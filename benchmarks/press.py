"""Page speed in a real Chromium: from the key press to the first paint, and opening a long chat against a short one.

The upstream is the stamped one of `benchmarks/turns`: the reply itself says how long its first token took, and that
time is subtracted. The page, its browser and the server share one machine, which they never do in production.
"""

import re
import statistics
from typing import Any

from benchmarks.turns.servers import HISTORY_MESSAGES, Checkout, OurServer, StampedUpstream
from benchmarks.turns.stamps import turn_text
from benchmarks.turns.venv import ROOT
from tests.browsers import Chromium, Contexts, chromium_executable
from tests.servers.chat_server import LiveUser

TURNS = 15
OPENINGS = 5
TOKENS, TOKENS_PER_SECOND = 12, 80
OPENING_TIMEOUT_MS = 20_000
SHORT_MESSAGES, LONG_MESSAGES = 10, 2 * HISTORY_MESSAGES
# The frame that found the text has painted it when the next frame begins.
WATCH_FOR_END = """
(() => {
  const look = () => {
    const shown = [...document.querySelectorAll("[data-testid=message]")].at(-1)
    const box = shown?.getBoundingClientRect()
    const isThere = shown?.textContent.includes(MARK) && box.top < innerHeight && box.bottom > 0
    if (!isThere) requestAnimationFrame(look)
    else requestAnimationFrame(() => { document.documentElement.dataset.endPaintedMs = performance.now() })
  }
  requestAnimationFrame(look)
})()
"""


def run() -> None:
    with (
        StampedUpstream() as upstream,
        Checkout(ROOT, people=2) as checkout,
        Chromium(chromium_executable()) as chromium,
    ):
        with (
            OurServer("ours", core=None, upstream=upstream, checkout=checkout) as server,
            chromium.contexts() as contexts,
        ):
            measure_presses(server, contexts)
            measure_openings(server, contexts)


def measure_presses(server: OurServer, contexts: Contexts) -> None:
    page = contexts.open_page(url_of(server), user=signed_in(server, 1))
    page.wait_for_selector("html[data-ready='true']")
    added = [press(page, number) for number in range(TURNS + 1)]
    first, rest = added[0], added[1:]
    print(
        f"press to first paint, less the upstream's own time: first message {first:.0f} ms, "
        f"then median {statistics.median(rest):.0f} ms, most {max(rest):.0f} ms of {TURNS}",
        flush=True,
    )


def press(page: Any, number: int) -> float:
    """The person's wait in milliseconds, minus the upstream's own time to first token."""
    box = page.get_by_test_id("composer-input")
    box.press_sequentially(turn_text(tokens=TOKENS, rate=TOKENS_PER_SECOND), delay=5)
    box.press("Enter")
    reply = page.get_by_test_id("reply").nth(number)
    reply.and_(page.locator("[data-ttft-ms][data-status=complete]")).wait_for()
    stamp = re.search(r"\b0:(\d+):(\d+)", reply.inner_text())
    assert stamp is not None, "the reply is not the upstream's"
    return float(reply.get_attribute("data-ttft-ms")) - (int(stamp[2]) - int(stamp[1])) / 1e6


def measure_openings(server: OurServer, contexts: Contexts) -> None:
    short = opening_ms(server, contexts, server.seed.short, SHORT_MESSAGES)
    long = opening_ms(server, contexts, server.seed.paged, LONG_MESSAGES)
    if short is None or long is None:
        which = SHORT_MESSAGES if short is None else LONG_MESSAGES
        print(f"a chat of {which} messages did not open within {OPENING_TIMEOUT_MS / 1000:.0f} s")
        return
    print(
        f"opening, to the paint of the end: {SHORT_MESSAGES} messages {short:.0f} ms, {LONG_MESSAGES} messages "
        f"{long:.0f} ms, {long - short:.0f} ms more; medians of {OPENINGS}"
    )


def opening_ms(server: OurServer, contexts: Contexts, conversation_id: str, messages: int) -> float | None:
    """The median from the start of the navigation; None if the end is not painted in time."""
    from playwright.sync_api import TimeoutError as TooLongError

    page = contexts.open_page(url_of(server), user=signed_in(server, 0))
    page.add_init_script(WATCH_FOR_END.replace("MARK", f"'Answer {messages - 1}:'"))
    waits = []
    for _ in range(OPENINGS + 1):
        page.goto(f"{url_of(server)}/c/{conversation_id}/")
        try:
            page.wait_for_selector("html[data-end-painted-ms]", timeout=OPENING_TIMEOUT_MS)
        except TooLongError:
            return None
        waits.append(float(page.locator("html").get_attribute("data-end-painted-ms") or "nan"))
    # The first visit fills the browser's own cache.
    return statistics.median(waits[1:])


def url_of(server: OurServer) -> str:
    return f"http://127.0.0.1:{server.port}"


def signed_in(server: OurServer, number: int) -> LiveUser:
    key = server.seed.cookies[number].partition("=")[2]
    return LiveUser(id=0, username=f"person-{number}", password="", session_key=key)
