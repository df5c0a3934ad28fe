"""`python -m benchmarks.pictures [FOLDER]`: the pictures of the README, made anew in a headless Chromium.

A server of its own with the demo's assistants, a conversation with the simulator, and two weeks of invented traffic in
the ledger, so that the operator's pages have something to show. Writes into `.github/`, or into another folder.
"""

import math
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.browsers import Chromium, chromium_executable
from tests.servers.chat_server import ROOT, ChatServer, clean_environment

QUESTION = "What does the with statement do when a block raises?"
DAYS = 14
SIZE = {"width": 1280, "height": 860}
PHONE = {"width": 360, "height": 780}
CONSOLE = {
    "dashboard": "dashboard/?since=7d",
    "policy": "warmpolicy/",
    "learned": "learnedevidence/",
    "numbers": "dashboard/numbers/",
    "log": "warmup/",
    "requests": "usagerecord/",
}
FOR_README = ("dashboard",)
ASSISTANT = {"prefix": "{}/prefix/", "assistant": "{}/change/"}
"""Pages of an assistant, which the README does not show either."""


def main() -> None:
    """With a FOLDER also the pages that the README does not show, in the dark and on a phone."""
    is_all, folder = len(sys.argv) > 1, Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / ".github"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        collected = {"STATIC_ROOT": str(Path(scratch) / "static")}
        command = [sys.executable, "manage.py", "collectstatic", "--no-input", "--verbosity", "0"]
        subprocess.run(command, cwd=ROOT, env=clean_environment(**collected), check=True)
        url = f"sqlite:///{Path(scratch) / 'db.sqlite3'}"
        told = {**collected, "WARMCACHE_LEARNS": "1"}
        with ChatServer(database_url=url, profile="sonnet", users=("ann", "root"), environment=told) as server:
            _fill_in_a_process(server)
            with Chromium(chromium_executable()) as chromium, chromium.contexts() as contexts:
                _chat(server, contexts, folder)
                _console(server, contexts, folder, is_all=is_all)


def _chat(server: ChatServer, contexts: Any, folder: Path) -> None:
    from playwright.sync_api import expect

    from tests.browser.chat_page import ChatPage

    chat = ChatPage(contexts.open_page(server.url, user=server.users["ann"], viewport=SIZE))
    chat.wait_until_ready()
    chat.choose(server.assistants["python-reference"])
    chat.type(QUESTION)
    chat.wait_for_badge("warm")
    chat.box.press("Enter")
    chat.wait_for_status("complete")
    chat.type("And when ")
    expect(chat.badge).to_have_attribute("data-state", "warm")
    chat.page.get_by_test_id("reply-facts").click()
    chat.page.screenshot(path=folder / "chat.png")


def _console(server: ChatServer, contexts: Any, folder: Path, *, is_all: bool) -> None:
    looks = {"": {"viewport": SIZE, "color_scheme": "light"}}
    if is_all:
        looks |= {
            "-dark": {"viewport": SIZE, "color_scheme": "dark"},
            "-phone": {"viewport": PHONE, "color_scheme": "light"},
        }
    for ending, look in looks.items():
        page = contexts.open_page(f"{server.url}/admin/", user=server.users["root"], **look)
        for name, path in CONSOLE.items():
            if is_all or name in FOR_README:
                page.goto(f"{server.url}/admin/warmcache/{path}")
                page.wait_for_load_state("networkidle")
                page.screenshot(path=folder / f"{name}{ending}.png", full_page=is_all)
        for name, path in ASSISTANT.items() if is_all else ():
            page.goto(f"{server.url}/admin/chatapp/assistant/{path.format(server.assistants['python-reference'])}")
            page.screenshot(path=folder / f"{name}{ending}.png")
        for name in ("log", "requests") if is_all else ():
            page.goto(f"{server.url}/admin/warmcache/{CONSOLE[name]}")
            page.goto(server.url + page.locator("#result_list tbody th a").first.evaluate("link => link.pathname"))
            page.screenshot(path=folder / f"{name}-detail{ending}.png", full_page=True)


def _fill_in_a_process(server: ChatServer) -> None:
    """Django is set up for that server's database."""
    code = "from benchmarks.pictures import fill; fill()"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=server.environment(), check=True)


def fill() -> None:
    """People come by day; most of what they type is sent; every tenth visit is held out."""
    import os

    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chatapp.settings")
    django.setup()
    from datetime import UTC, datetime, timedelta
    from random import Random

    from warmcache.ledger.rollups import catch_up
    from warmcache.models import SkipCount
    from warmcache.upstream.prices import rates_for

    draw, now = Random(7), datetime.now(tz=UTC)  # noqa: S311 - a repeatable draw
    for hour in range(DAYS * 24):
        start = now - timedelta(hours=hour + 1)
        for _ in range(round(4 * max(0.0, math.sin((start.hour - 6) / 14 * math.pi)) + draw.random())):
            _visit(draw, start + timedelta(seconds=draw.uniform(0, 3000)))
        SkipCount.objects.create(
            minute=start, label="small-talk", intent="typing", reason="below_minimum_tokens", count=draw.randrange(1, 5)
        )
    catch_up(now.timestamp(), rates_for, rows_at_once=None)


def _visit(draw: Any, at: Any) -> None:
    from datetime import timedelta
    from decimal import Decimal

    from warmcache.models import UsageRecord, WarmUp, WarmUpLine

    label, tokens = draw.choice((("python-reference", 58_000), ("this-project", 24_000)))
    common = {"label": label, "subject": "user 1", "model": "claude-sonnet-5-5", "upstream": "simulator"}
    numbers = {"send_chance": 0.86, "saved_seconds": round(tokens * 6e-5, 2)}
    is_held_out, intent = draw.random() < 0.1, draw.choice(("typing", "typing", "typing", "attach", "open"))
    outcome = draw.choice(("hit",) * 12 + ("joined", "joined", "unused", "raced"))
    written = tokens if draw.random() < 0.3 else 900
    if not is_held_out:
        cost = Decimal(written) * Decimal("2.5e-6") + Decimal(tokens - written) * Decimal("1e-7")
        warm_up = WarmUp.objects.create(
            **common,
            **{"intent": intent, "reason": "cold", "numbers": numbers, "outcome": outcome, "started_at": at},
            **{"settled_at": at + timedelta(seconds=9), "cost_usd": cost, "duration_ms": draw.randrange(600, 4000)},
            **{"cache_write_tokens": written, "cache_read_tokens": tokens - written, "prefix_tokens": tokens},
        )
        WarmUpLine.objects.create(
            **{"warm_up": warm_up, "position": 0, "layer": "shared", "prefix_hash": "a" * 64, "ttl_seconds": 300},
            **{"prefix_tokens": tokens, "written_tokens": written, "cost_usd": cost, "outcome": outcome},
            **{"credited_tokens": written if outcome in ("hit", "joined") else 0, "settled_at": at},
        )
        if outcome == "unused":
            return
    is_warm = not is_held_out and outcome != "raced"
    wait = draw.lognormvariate(6.7, 0.3) + (0 if is_warm else tokens * draw.uniform(0.04, 0.08))
    UsageRecord.objects.create(
        **common,
        **{"status": "complete", "warmth": "held_out" if is_held_out else outcome, "ttft_ms": round(wait)},
        **{"arm": "held_out" if is_held_out else "treated", "intent": intent, "numbers": numbers},
        **{"started_at": at + timedelta(seconds=8), "duration_ms": round(wait) + 4000, "input_tokens": 40},
        **{"cache_read_tokens": tokens if is_warm else 0, "cache_write_tokens": 300 if is_warm else tokens + 300},
        **{"output_tokens": 320, "prefix_tokens": tokens},
        cost_usd=Decimal("0.004") + Decimal(tokens) * Decimal("1e-7" if is_warm else "2.5e-6"),
    )


if __name__ == "__main__":
    main()
