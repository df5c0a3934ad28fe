"""Time to first token in a real Chromium, cold against warm: from the key press to the first paint, on the simulator.

Each message goes to an assistant of its own (the Python reference with another first line), so that cold is cold.
Cold: a script fills the box without key presses, then presses Enter. Warm: keys are pressed, then Enter once the badge
says warm. `overhead` is the person's wait minus the duration of the call that the simulator reports in its header.
"""

import json
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from typing import Any

from tests.browsers import Chromium, chromium_executable
from tests.servers.chat_server import ROOT, ChatServer

PAIRS = 5
PROFILES = ("2024", "sonnet")
QUESTION = "What does a yield expression do?"
TIMEOUT_MS = 60_000
CLONE = """
import json, sys
from chatapp.models import Assistant, Document
source = Assistant.objects.get(slug="python-reference")
made = []
for n in range(int(COUNT)):
    copy = Assistant.objects.create(name=f"Copy {n}", slug=f"copy-{n}", model=source.model, effort=source.effort,
        thinking=source.thinking, system_prompt=f"Copy {n}. {source.system_prompt}")
    Document.objects.bulk_create(
        Document(assistant=copy, title=d.title, text=d.text, position=d.position) for d in source.documents.all())
    made.append(copy.pk)
print(json.dumps(made))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """The waits for one message, in milliseconds; `simulated_ms` is the call's duration by the simulator's header."""

    felt_ms: float
    simulated_ms: float

    @property
    def overhead_ms(self) -> float:
        return self.felt_ms - self.simulated_ms


def run() -> None:
    """Prints the figures of every latency profile, without noise."""
    with Chromium(chromium_executable()) as chromium:
        for profile in PROFILES:
            with tempfile.TemporaryDirectory() as folder:
                with ChatServer(database_url=f"sqlite:///{folder}/db.sqlite3", profile=profile) as server:
                    print_figures(profile, *measure(server, chromium, pairs=PAIRS))


def measure(server: ChatServer, chromium: Chromium, *, pairs: int) -> tuple[list[Wait], list[Wait]]:
    """Cold waits and warm waits, measured alternately."""
    assistants = iter(_clone_assistants(server, 2 * pairs))
    cold, warm = [], []
    with chromium.contexts() as contexts:
        page = contexts.open_page(server.url, user=server.users["ann"])
        for _ in range(pairs):
            cold.append(_ask(server, page, next(assistants), types=False))
            warm.append(_ask(server, page, next(assistants), types=True))
        contexts.require_quiet_consoles()
    return cold, warm


def print_figures(profile: str, cold: list[Wait], warm: list[Wait]) -> None:
    cold_ms = statistics.median(wait.felt_ms for wait in cold)
    warm_ms = statistics.median(wait.felt_ms for wait in warm)
    overheads = [wait.overhead_ms for wait in (*cold, *warm)]
    print(f"profile {profile}: {len(cold)} pairs, medians of press to first paint")
    print(f"  cold {cold_ms:.0f} ms, warm {warm_ms:.0f} ms, warm/cold {warm_ms / cold_ms:.3f}")
    print(f"  overhead: median {statistics.median(overheads):.0f} ms, most {max(overheads):.0f} ms", flush=True)


def _ask(server: ChatServer, page: Any, assistant_id: int, *, types: bool) -> Wait:
    page.goto(server.url)
    page.wait_for_selector("html[data-ready='true']")
    page.locator(f"input[name=assistant][value='{assistant_id}']").check(force=True)
    box = page.get_by_test_id("composer-input")
    if types:
        box.press_sequentially(QUESTION, delay=20)
        page.locator("[data-testid=warmth-badge][data-state=warm]").wait_for(timeout=TIMEOUT_MS)
    else:
        box.evaluate("(element, text) => { element.value = text }", QUESTION)
    box.press("Enter")
    reply = page.locator("[data-testid=reply][data-ttft-ms]")
    reply.wait_for(timeout=TIMEOUT_MS)
    felt_ms = float(reply.get_attribute("data-ttft-ms"))
    page.locator("[data-testid=reply][data-status=complete]").wait_for(timeout=TIMEOUT_MS)
    real = [exchange for exchange in server.simulator.requests() if not exchange["is_warm_up"]]
    return Wait(felt_ms=felt_ms, simulated_ms=real[-1]["simulated_ttft_ms"])


def _clone_assistants(server: ChatServer, count: int) -> list[int]:
    command = [sys.executable, "manage.py", "shell", "--verbosity", "0", "-c", CLONE.replace("COUNT", str(count))]
    made: list[int] = json.loads(subprocess.check_output(command, cwd=ROOT, env=server.environment(), text=True))
    return made
