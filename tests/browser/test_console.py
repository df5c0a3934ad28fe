"""The operator's console: the same figures wherever they stand, readable by everybody."""

import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from prometheus_client.parser import text_string_to_metric_families

from tests.browser import axe
from tests.browser.chat_page import QUESTION, ChatPage
from tests.servers.chat_server import ROOT, ChatServer, LiveUser, SimulatorControl
from warmcache.admin.words import dollars

# Dollars for a million tokens: input, output, cache read, cache write of five minutes and of an hour.
PRICES = {
    "claude-sonnet-5-5": ("2", "10", "0.1", "2.5", "4"),
    "claude-opus-5-5": ("4", "20", "0.2", "5", "8"),
    "claude-fable-5-2": ("8", "40", "0.2", "10", "16"),
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


COLUMNS = (
    *(("input", "input_tokens"), ("output", "output_tokens")),
    *(("read", "cache_read_input_tokens"), ("write", "cache_creation_input_tokens")),
)
METRICS_KINDS = {"read": "cache_read", "write": "cache_write"}


def counters(page: Page, server: ChatServer) -> Counter[tuple[str, str]]:
    """What `/metrics` has counted of replies: (model, kind of token, or `usd`) -> number."""
    found: Counter[tuple[str, str]] = Counter()
    for family in text_string_to_metric_families(page.request.get(f"{server.url}/metrics").text()):
        for sample in family.samples:
            if sample.name == "warmcache_reply_tokens_total":
                found[sample.labels["model"], sample.labels["kind"]] = sample.value
            if sample.name == "warmcache_reply_cost_usd_total":
                found[sample.labels["model"], "usd"] = sample.value
    return found


def tokens_of(requests: list[dict[str, Any]]) -> dict[str, int]:
    return {ours: sum(request["usage"][theirs] for request in requests) for ours, theirs in COLUMNS}


def dollars_of_all(requests: list[dict[str, Any]]) -> Decimal:
    return sum((dollars_of(request) for request in requests), Decimal(0))


def talk(chat: ChatPage) -> ChatPage:
    chat.type(QUESTION)
    chat.wait_for_badge("warm")
    chat.box.press("Enter")
    chat.wait_for_status("complete")
    return chat


@pytest.fixture
def traffic(open_chat: Callable[..., ChatPage], person: LiveUser, cold_assistant: int) -> ChatPage:
    return talk(open_chat(person, assistant=cold_assistant))


def test_warm_ups_and_replies_of_three_models_are_the_same_everywhere(
    open_chat: Callable[..., ChatPage],
    new_person: Callable[[], LiveUser],
    open_admin: Callable[[str], Page],
    server: ChatServer,
    simulator: SimulatorControl,
    cold_assistant: int,
    assistants_of_other_models: dict[str, int],
) -> None:
    page = open_admin("")
    counted = counters(page, server)
    assistants = {"claude-sonnet-5-5": cold_assistant, **assistants_of_other_models}
    assert set(assistants) == set(PRICES)
    for assistant in assistants.values():
        talk(open_chat(new_person(), assistant=assistant, viewport={"width": 1280, "height": 800}))

    asked = [request for request in simulator.requests() if request["usage"]]
    increases = counters(page, server) - counted
    for model, assistant in assistants.items():
        own = [request for request in asked if request["parsed"]["model"] == model]
        warmed = [request for request in own if request["parsed"].get("max_tokens") == 0]
        replies = [request for request in own if request not in warmed]
        assert warmed
        assert len(replies) == 1
        ((label,),) = server.query("SELECT slug FROM chatapp_assistant WHERE id = ?", assistant)
        page.goto(f"{server.url}/admin/{DASHBOARD}&label={label}")
        expect(page.locator("#outcomes thead")).to_contain_text("hit")

        (totals,) = report_of(server, label)["totals"]

        assert totals["warm_up_tokens"] == tokens_of(warmed)
        assert totals["reply_tokens"] == tokens_of(replies)
        expected = dollars_of_all(own)
        assert abs(Decimal(totals["total_usd"]) - expected) < Decimal("1e-6")
        card = page.locator(".console__card", has_text="In all").locator(".console__amount")
        expect(card).to_have_text(dollars(expected))
        for name, number in tokens_of(replies).items():
            assert increases[model, METRICS_KINDS.get(name, name)] == number
        assert abs(Decimal(increases[model, "usd"]) - dollars_of_all(replies)) < Decimal("1e-6")

        page.goto(f"{server.url}/admin/warmcache/warmup/?label={label}")
        newest = page.locator("#result_list tbody tr").first
        expect(newest).to_contain_text("hit")
        expect(page.locator("#warm-up-totals")).to_contain_text(f"for {dollars(dollars_of_all(warmed))}:")


PAGES = (
    DASHBOARD,
    "warmcache/dashboard/numbers/",
    "warmcache/warmpolicy/",
    "warmcache/learnedevidence/",
    "warmcache/warmup/",
    "warmcache/usagerecord/",
)
OURS = ("console", "warming-bar", "wait-bar", "knobs", "previews")


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 360)])
def test_no_page_of_the_console_breaks_a_rule_and_each_fits_a_phone(
    traffic: ChatPage,
    open_admin: Callable[[str], Page],
    server: ChatServer,
    forgive: Callable[[str], None],
    scheme: str,
    width: int,
) -> None:
    # Axe itself makes inline styles of what Django's style sheets import.
    forgive("Applying inline style|Couldn't load preload assets")
    page = open_admin(DASHBOARD)
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    page.set_viewport_size({"width": width, "height": 900})
    expect(page.locator(".console__plot canvas")).to_have_count(3)
    _require_figures_by_keys(page)
    details = []
    for kind in ("warmup", "usagerecord"):
        page.goto(f"{server.url}/admin/warmcache/{kind}/")
        details.append(page.locator("#result_list tbody th a").first.evaluate("link => link.pathname"))

    for path in [*(f"/admin/{path}" for path in PAGES), *details]:
        page.goto(server.url + path)
        own = [line for line in axe.violations(page) if any(word in line for word in OURS)]
        assert own == [], path
        # Django's own lists scroll within themselves.
        assert page.evaluate("document.querySelector('#content').scrollWidth <= innerWidth"), path


def _require_figures_by_keys(page: Page) -> None:
    """The keys lead through a chart: below it stand the figures of its table's row."""
    plot = page.locator(".console__plot").first
    rows = plot.evaluate(
        """place => [...document.getElementById(place.dataset.plot).tBodies[0].rows].map(row =>
        [...row.querySelectorAll("[data-number]")].map(({ dataset }) => Number(dataset.number)))"""
    )
    last = len(rows) - 1
    for key, row in (("End", last), ("ArrowLeft", max(0, last - 1)), ("Home", 0), ("ArrowRight", min(1, last))):
        plot.press(key)
        told = plot.locator(".u-legend .u-value")
        expect(told.nth(1)).not_to_have_text("-")
        expect(told).to_have_text([re.compile("^2"), *(re.compile(rf"\D?{number:g}$") for number in rows[row])])


def test_the_switch_is_one_press_away_without_a_mouse(open_admin: Callable[[str], Page]) -> None:
    page = open_admin("warmcache/warmup/")
    page.get_by_role("button", name="Switch all warming off").focus()
    page.keyboard.press("Enter")
    expect(page.locator(".success")).to_contain_text("Warming is switched off")

    page.get_by_role("button", name="Switch warming on").press("Enter")

    expect(page.locator(".success")).to_contain_text("Warming is switched on")
