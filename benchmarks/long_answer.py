"""An answer of 20,000 tokens at 200 a second, in a real Chromium that is four times slower than this machine.

Frames: the longest time between two animation frames after the first second; the target is 50 ms. Tokens: the processor
time of the page's main thread, and the elements that it made, for one of the first and of the last thousand.
"""

import tempfile
from dataclasses import dataclass
from time import monotonic
from typing import Any

from tests.browsers import Chromium, chromium_executable
from tests.servers.chat_server import ChatServer

TOKENS, TOKENS_PER_SECOND = 20_000, 200
CHARS_PER_TOKEN = 3
SLOW_DOWN = 4
PART_SECONDS = 1_000 / TOKENS_PER_SECOND
TARGET_MS = 50
TIMEOUT_SECONDS = 5 * TOKENS / TOKENS_PER_SECOND
PROSE = "The **garden** is quiet; see `lamp()` at the end of the *path*, which is wet.\n\n- one\n- two\n\n"
KINDS = {
    "prose": ("", PROSE),
    "one block of code": ("```python\n", '    lamp = light(garden, "path")  # which is wet\n'),
    "one list": ("", "- the **garden** is quiet, see `lamp()`\n"),
    "one table": ("| a | b | c |\n|---|---|---|\n", "| garden | **quiet** | `lamp()` |\n"),
}
WATCH = """
() => {
  const seen = (window.__seen = { longest: 0, over: 0, frames: 0, made: 0 })
  const began = performance.now()
  let last = began
  const look = (now) => {
    if (now - began > 1000) {
      seen.longest = Math.max(seen.longest, now - last)
      seen.over += now - last > TARGET
      seen.frames += 1
    }
    last = now
    requestAnimationFrame(look)
  }
  requestAnimationFrame(look)
  const elements = (node) => (node.nodeType === 1 ? 1 + node.getElementsByTagName("*").length : 0)
  new MutationObserver((records) => {
    for (const { addedNodes } of records) for (const node of addedNodes) seen.made += elements(node)
  }).observe(document.getElementById("messages"), { childList: true, subtree: true })
}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    seconds: float
    cpu_ms: float
    made: int


def run() -> None:
    print(f"{TOKENS:,} tokens at {TOKENS_PER_SECOND}/s, {SLOW_DOWN} times slower", flush=True)
    with tempfile.TemporaryDirectory() as folder, Chromium(chromium_executable()) as chromium:
        with ChatServer(database_url=f"sqlite:///{folder}/db.sqlite3", users=("ann",)) as server:
            server.query("UPDATE chatapp_assistant SET max_output_tokens = ?", 2 * TOKENS)
            for name, (head, line) in KINDS.items():
                with chromium.contexts() as contexts:
                    page = contexts.open_page(server.url, user=server.users["ann"])
                    _measure(server, page, name, head + line * (TOKENS * CHARS_PER_TOKEN // len(line)))


def _measure(server: ChatServer, page: Any, name: str, text: str) -> None:
    page.wait_for_selector("html[data-ready='true']")
    page.locator(f"input[name=assistant][value='{server.assistants['small-talk']}']").check(force=True)
    server.simulator.script(text=text, tokens_per_second=TOKENS_PER_SECOND)
    devtools = page.context.new_cdp_session(page)
    devtools.send("Performance.enable", {"timeDomain": "threadTicks"})
    devtools.send("Emulation.setCPUThrottlingRate", {"rate": SLOW_DOWN})
    page.get_by_test_id("composer-input").fill("Tell me everything.")
    page.get_by_test_id("composer-input").press("Enter")
    reply = page.get_by_test_id("reply")
    reply.and_(page.locator("[data-ttft-ms]")).wait_for(timeout=TIMEOUT_SECONDS * 1000)
    page.evaluate(WATCH.replace("TARGET", str(TARGET_MS)))
    samples = [_sample(page, devtools)]
    while reply.get_attribute("data-status") == "streaming":
        page.wait_for_timeout(500)
        samples.append(_sample(page, devtools))
        if samples[-1].seconds - samples[0].seconds > TIMEOUT_SECONDS:
            print(f"  {name}: not at its end after {TIMEOUT_SECONDS:.0f} s", flush=True)
            return
    _print(name, samples, page.evaluate("window.__seen"))


def _sample(page: Any, devtools: Any) -> Sample:
    metrics = {each["name"]: each["value"] for each in devtools.send("Performance.getMetrics")["metrics"]}
    return Sample(
        seconds=monotonic(), cpu_ms=float(metrics["TaskDuration"]) * 1000, made=page.evaluate("window.__seen.made")
    )


def _print(name: str, samples: list[Sample], seen: dict[str, float]) -> None:
    begin, end = samples[0], samples[-1]
    first_end = next((each for each in samples if each.seconds - begin.seconds >= PART_SECONDS), end)
    last_begin = next(each for each in samples if end.seconds - each.seconds <= PART_SECONDS)
    parts = [
        f"{(to.cpu_ms - since.cpu_ms) / tokens:.2f} ms, {(to.made - since.made) / tokens:.2f} elements"
        for since, to in ((begin, first_end), (last_begin, end))
        for tokens in ((to.seconds - since.seconds) * TOKENS_PER_SECOND or 1,)
    ]
    print(
        f"  {name}: longest frame {seen['longest']:.0f} ms, {seen['over']:.0f} of {seen['frames']:.0f} over "
        f"{TARGET_MS} ms; per token, first thousand {parts[0]}, last thousand {parts[1]}",
        flush=True,
    )
