"""The accessibility rules of axe-core, run inside a page."""

from typing import Any

from playwright.sync_api import Page

from tests.servers.chat_server import ROOT

SOURCE = (ROOT / "node_modules" / "axe-core" / "axe.min.js").read_text(encoding="utf-8")
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
# Colours in the middle of a change are no colours.
SETTLED = """() => Promise.allSettled(document.getAnimations().map(({ finished, effect }) =>
  effect.getTiming().iterations === Infinity ? null : finished))"""
RUN = "options => axe.run(document, options).then(({ violations }) => violations)"


def violations(page: Page) -> list[str]:
    """One line for each element that breaks a rule."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(SOURCE)
    wait_for_animations(page)
    options = {"runOnly": {"type": "tag", "values": TAGS}, "resultTypes": ["violations"]}
    found: list[dict[str, Any]] = page.evaluate(RUN, options)
    return [f"{rule['id']}: {node['html'][:160]} {_why(node)}" for rule in found for node in rule["nodes"]]


def wait_for_animations(page: Page) -> None:
    page.evaluate(SETTLED)


def _why(node: dict[str, Any]) -> str:
    return "; ".join(check["message"] for check in node["any"] + node["all"] + node["none"])
