"""A real model with a real cache on this machine: the wait for the first words, sent at once and after typing.

Both start their own demo, so that nothing is cached. The cold message is pasted and sent in the same moment. The
model's answers are a toy's; its cache is llama.cpp's own.
"""

import statistics
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.browsers import Chromium, Contexts, chromium_executable
from tests.servers.local_demo import LocalDemo

ROUNDS = 3
QUESTION = "When does the ferry leave?"


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    ttft_ms: float
    read_share: float


def run() -> None:
    with Chromium(chromium_executable()) as chromium, chromium.contexts() as contexts:
        pairs = [(first_turn(contexts, types=False), first_turn(contexts, types=True)) for _ in range(ROUNDS)]
    cold, warm = (statistics.median(turn.ttft_ms for turn in turns) for turns in zip(*pairs, strict=True))
    least = min(turn.read_share for _, turn in pairs)
    print(
        f"a prompt of about 600 tokens on a model of 135 million parameters: first words after {cold:.0f} ms when sent "
        f"at once, {warm:.0f} ms after typing, {warm / cold:.2f} of it; medians of {ROUNDS}. After typing at least "
        f"{least:.0%} of the prompt was read from the cache."
    )


def first_turn(contexts: Contexts, *, types: bool) -> Turn:
    """The first message of a model that has just started."""
    with tempfile.TemporaryDirectory() as folder, LocalDemo(Path(folder)) as demo:
        page = contexts.open_page(demo.link)
        page.get_by_role("button").first.click()
        page.wait_for_selector("html[data-ready='true']")
        box = page.get_by_test_id("composer-input")
        if types:
            box.press_sequentially(QUESTION, delay=50)
            page.locator("[data-testid=warmth-badge][data-state=warm]").wait_for()
        else:
            box.evaluate("(box, text) => { box.value = text }", QUESTION)
        box.press("Enter")
        reply = page.locator("[data-testid=reply][data-status=complete]")
        reply.wait_for()
        return turn_of(demo.rows("usagerecord")[0], float(reply.get_attribute("data-ttft-ms") or "nan"))


def turn_of(record: dict[str, Any], ttft_ms: float) -> Turn:
    read, uncached = record["cache_read_tokens"], record["input_tokens"]
    return Turn(ttft_ms=ttft_ms, read_share=read / (read + uncached))
