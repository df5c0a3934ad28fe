"""The operator's console: the same figures wherever they stand, readable by everybody."""

import json
import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser import axe
from tests.browser.chat_page import QUESTION, ChatPage
from tests.servers.chat_server import ROOT, ChatServer, LiveUser, SimulatorControl

# Dollars for a million tokens: input, output, cache read, cache write of five minutes and of an hour.
PRICES = {
    "claude-sonnet-5-5": ("2", "10", "0.1", "2.5", "4"),
    "claude-opus-5-5": ("4", "20", "0.2", "5", "8"),
    "claude-haiku-4-5": ("1", "5", "0.1", "1.25", "2"),
}
DASHBOARD = "warmcache/dashboard/?since=24h"


def dollars_of(request: dict[str, Any]) -> Decimal:
    usage = request["usage"]
    written = usage["cache_creation_input_tokens"]
    in_an_hour = (usage.get("cache_creation") or {}).get("ephemeral_1h_input_tokens", 0)
    counts = (
        usage["input_tokens"],
        usage["output_tokens"],
        usage["cache_read_input_tokens"],
        written - in_an_hour,
        in_an_hour,
    )
    prices = PRICES[request["parsed"]["model"]]
    return sum((count * Decimal(price) for count, price in zip(counts, prices, strict=True)), Decimal(0)) / 10**6


def report_of(server: ChatServer, label: str) -> dict[str, Any]:
    command = [sys.executable, "manage.py", "warmcache_report", "--json", "--since", "24h", "--label", label]
    found: dict[str, Any] = json.loads(subprocess.check_output(command, cwd=ROOT, env=server.environment(), text=True))
    return found


@pytest.fixture
def traffic(open_chat: Callable[..., ChatPage], person: LiveUser, cold_assistant: int) -> ChatPage:
    chat = open_chat(person, assistant=cold_assistant)
    chat.type(QUESTION)
    chat.wait_for_badge("warm")
    chat.box.press("Enter")
    chat.wait_for_status("complete")
    return chat


def test_a_warm_up_and_its_reply_are_the_same_everywhere(
    traffic: ChatPage,
    open_admin: Callable[[str], Page],
    server: ChatServer,
    simulator: SimulatorControl,
    cold_assistant: int,
) -> None:
    ((label,),) = server.query("SELECT slug FROM chatapp_assistant WHERE id = ?", cold_assistant)
    page = open_admin(f"{DASHBOARD}&label={label}")
    expect(page.locator("#outcomes thead")).to_contain_text("hit")

    report = report_of(server, label)

    (totals,) = report["totals"]
    asked = [request for request in simulator.requests() if request["usage"]]
    warmed = [request for request in asked if request["parsed"].get("max_tokens") == 0]
    for name, requests in (("warm_up_tokens", warmed), ("reply_tokens", [r for r in asked if r not in warmed])):
        for ours, theirs in (
            *(("input", "input_tokens"), ("output", "output_tokens")),
            *(("read", "cache_read_input_tokens"), ("write", "cache_creation_input_tokens")),
        ):
            assert totals[name][ours] == sum(request["usage"][theirs] for request in requests), (name, ours)
    expected = sum((dollars_of(request) for request in asked), Decimal(0))
    assert abs(Decimal(totals["total_usd"]) - expected) < Decimal("1e-6")
    card = page.locator(".console__card", has_text="In all").locator(".console__amount")
    expect(card).to_have_text(f"${expected:,.4f}" if expected >= Decimal("0.01") else f"${expected:,.6f}")

    page.get_by_role("link", name="All warm-ups").click()
    expect(page.locator("#result_list tbody tr").first).to_contain_text("hit")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_dashboard_breaks_no_rule_and_fits_a_phone(
    traffic: ChatPage, open_admin: Callable[[str], Page], scheme: str
) -> None:
    page = open_admin(DASHBOARD)
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    expect(page.locator(".console__plot canvas")).to_have_count(3)

    for width in (1280, 360):
        page.set_viewport_size({"width": width, "height": 900})
        own = [line for line in axe.violations(page) if "console" in line or "warming-bar" in line]
        assert own == []
        assert page.evaluate("document.querySelector('#content').scrollWidth <= innerWidth")


def test_the_switch_is_one_press_away_without_a_mouse(open_admin: Callable[[str], Page]) -> None:
    page = open_admin("warmcache/warmup/")
    page.get_by_role("button", name="Switch all warming off").focus()
    page.keyboard.press("Enter")
    expect(page.locator(".success")).to_contain_text("Warming is switched off")

    page.get_by_role("button", name="Switch warming on").press("Enter")

    expect(page.locator(".success")).to_contain_text("Warming is switched on")
