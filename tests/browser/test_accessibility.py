"""For people who use a keyboard, a screen reader, a dark room: the rules of axe-core, and what no rule can see."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser import axe
from tests.browser.chat_page import QUESTION, ChatPage
from tests.browser.held_replies import HoldReply
from tests.servers.chat_server import ChatServer, LiveUser, SimulatorControl

TEXT = """## Ships

Three barges, see [the list](https://example.invalid/list) and `barge.py`:

```python
def count(ships: list[str]) -> int:  # all of them
    return len(ships) + 0
```

| Ship | Length |
|:-----|-------:|
| Anna | 80 |
"""

# What has the focus, once for each element; null when it is the page itself or an element for the second time.
LINK = "the list (example.invalid)"
FOCUS = """() => {
  const element = document.activeElement
  window.visited ??= new Set([document.body])
  if (visited.has(element)) return null
  visited.add(element)
  const { outlineStyle, outlineWidth, boxShadow } = getComputedStyle(element)
  const around = element.closest(":has(> :focus)")
  return {
    name: element.ariaLabel ?? (element.labels?.[0] ?? element).textContent.trim().replace(/\\s+/g, " "),
    isVisible: (outlineStyle !== "none" && parseFloat(outlineWidth) > 0) || boxShadow !== "none"
      || getComputedStyle(around).outlineStyle !== "none" || getComputedStyle(around).boxShadow !== "none",
  }
}"""


@pytest.fixture
def answered(chat: ChatPage, simulator: SimulatorControl) -> ChatPage:
    simulator.script(text=TEXT)
    chat.ask()
    return chat


@pytest.fixture(params=["light", "dark"])
def scheme(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_the_chat_breaks_no_rule_in_any_of_its_states(answered: ChatPage, scheme: str) -> None:
    page = answered.page
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]

    found = {"messages": axe.violations(page)}
    answered.page.get_by_test_id("reply-facts").click()
    answered.conversations.hover()
    answered.conversations.get_by_role("button").click()
    found["menu"] = axe.violations(page)
    page.get_by_role("menuitem", name="Rename…").click()
    found["dialog"] = axe.violations(page)
    page.keyboard.press("Escape")
    page.get_by_role("link", name="New chat").click()
    expect(page.get_by_test_id("assistant-picker")).to_be_visible()
    answered.badge.click()
    found["new chat"] = axe.violations(page)

    assert found == dict.fromkeys(found, [])


def test_the_chat_on_a_phone_breaks_no_rule_with_the_drawer_closed_and_open(
    open_chat: Callable[..., ChatPage], person: LiveUser
) -> None:
    chat = open_chat(person, viewport={"width": 375, "height": 812}, has_touch=True, is_mobile=True)

    closed = axe.violations(chat.page)
    chat.page.get_by_role("button", name="Conversations").click()
    expect(chat.page.locator("#sidebar :focus")).to_be_visible()
    opened = axe.violations(chat.page)
    chat.page.keyboard.press("Escape")

    assert (closed, opened) == ([], [])
    expect(chat.page.get_by_role("button", name="Conversations")).to_be_focused()


def test_replies_that_ended_early_break_no_rule(chat: ChatPage, simulator: SimulatorControl, scheme: str) -> None:
    chat.page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    simulator.script(text="word " * 100)
    simulator.fault(kind="cut", match="reply", where="after_first_token")
    chat.send()
    chat.wait_for_status("interrupted")

    assert axe.violations(chat.page) == []


@pytest.mark.parametrize("path", ["/accounts/login/", "/sign-in/nothing/", "/c/nowhere/"])
def test_pages_without_a_chat_break_no_rule(
    server: ChatServer, open_page: Callable[..., Any], forgive: Callable[[str], None], path: str
) -> None:
    page: Page = open_page(server.url + path)

    found = []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        found += axe.violations(page)

    assert found == []
    expect(page.get_by_test_id("upstream-notice")).to_be_visible()
    forgive("status of 404")


def test_a_wrong_password_is_told_without_breaking_a_rule(server: ChatServer, open_page: Callable[..., Any]) -> None:
    page: Page = open_page(server.url + "/accounts/login/")
    page.get_by_label("Username").fill("ann")
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Sign in").click()

    expect(page.get_by_role("alert")).to_be_visible()

    assert axe.violations(page) == []


def test_the_tab_key_reaches_everything_in_order_and_shows_where_it_is(answered: ChatPage) -> None:
    answered.page.locator("#sidebar .sidebar__brand").focus()

    stops = []
    while stop := answered.page.evaluate(FOCUS):
        stops.append(stop)
        answered.page.keyboard.press("Tab")

    names = [stop["name"] for stop in stops]
    wanted = [
        "Warmcache",
        "New chat",
        "Search your conversations",
        QUESTION,
        "More",
        "Archive",
        "Import…",
        "Sign out",
        *("Messages", LINK, "Copy", "Copy", "Your message"),
    ]
    assert [name for name in names if name in wanted][: len(wanted)] == wanted
    assert any(name.lower().startswith("first words after") for name in names)
    assert [stop["name"] for stop in stops if not stop["isVisible"]] == []


def test_enter_sends_and_shift_enter_begins_a_new_line(chat: ChatPage, simulator: SimulatorControl) -> None:
    simulator.script(text="Yes.")

    chat.type("one")
    chat.box.press("Shift+Enter")
    chat.type("two")
    expect(chat.messages).to_have_count(0)
    chat.box.press("Enter")
    chat.wait_for_status("complete")

    assert chat.texts() == ["one\ntwo", "Yes."]


def test_the_menu_is_worked_by_keyboard_alone_and_gives_the_focus_back(answered: ChatPage) -> None:
    page = answered.page
    opener = answered.conversations.get_by_role("button")

    opener.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("menuitem", name="Pin")).to_be_focused()
    page.keyboard.press("ArrowUp")
    expect(page.get_by_role("menuitem", name="Delete")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_role("menu")).to_be_hidden()
    expect(opener).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")

    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(opener).to_be_focused()


def test_a_finished_answer_is_announced_once_and_tokens_never(chat: ChatPage, held_reply: HoldReply) -> None:
    region = chat.page.locator("#announcements")
    said = chat.remember_changes(region)

    with held_reply("Three barges and a tug, **two** of them empty. " * 10):
        chat.send()
        chat.wait_for_words()
        expect(chat.reply).to_have_attribute("aria-busy", "true")
        assert said() == [""]
    chat.wait_for_status("complete")

    assert len(said()) == 2
    assert said()[1].startswith("Reply: Three barges and a tug, two of them empty.")
    expect(chat.reply).not_to_have_attribute("aria-busy", "true")
    expect(chat.page.locator("[role=log], #messages[aria-live]")).to_have_count(0)
