"""The main job: somebody signs in, types, and reads a reply from a prompt cache that was warmed meanwhile."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.chat_page import QUESTION, ChatPage
from tests.servers.chat_server import ChatServer, SimulatorControl

ANSWER = "Three barges and a tug. **Two** of them leave tonight."


@pytest.fixture
def sign_in(server: ChatServer, open_page: Callable[..., Any]) -> Callable[[str], Page]:
    """Through the form, as a person does."""

    def through_form(username: str) -> Page:
        page: Page = open_page(server.url)
        expect(page.get_by_test_id("upstream-notice")).to_contain_text("Simulated replies")
        page.get_by_label("Username").fill(username)
        page.get_by_label("Password").fill(server.users[username].password)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url(server.url + "/")
        return page

    return through_form


def test_a_person_signs_in_types_and_reads_a_warm_reply(
    sign_in: Callable[[str], Page], server: ChatServer, cold_assistant: int, simulator: SimulatorControl
) -> None:
    simulator.script(text=ANSWER)
    chat = ChatPage(sign_in("ann"))
    chat.wait_until_ready()
    chat.choose(cold_assistant)
    states = chat.remember_changes(chat.badge, "data-state")

    chat.type(QUESTION)
    chat.wait_for_badge("warm")
    time_left = chat.badge.inner_text()
    chat.box.press("Enter")
    chat.wait_for_status("complete")

    assert states()[:3] == ["cold", "warming", "warm"]
    assert re.search(r"about \d+:\d\d left", time_left)
    assert chat.texts() == [QUESTION, "Three barges and a tug. Two of them leave tonight."]
    expect(chat.page.get_by_test_id("upstream-notice")).to_be_visible()
    expect(chat.reply).to_have_attribute("data-warmth", "hit")
    expect(chat.reply).to_have_attribute("data-ttft-ms", re.compile(r"^\d+(\.\d)?$"))
    facts = chat.page.get_by_test_id("reply-facts").inner_text()
    assert re.search(r"(?i)^first words after [\d.]+\ss · warm", facts)
    chat.page.get_by_test_id("reply-facts").click()
    numbers = chat.page.locator(".facts__list").inner_text()
    assert re.search(r"[\d,]+ read from the cache, \d+ written to it, \d+ read without it", numbers)
    assert re.search(r"\$[\d.]+ for this reply", numbers)
    _assert_one_warm_up_paid(simulator)


def test_a_new_conversation_has_an_address_and_survives_a_reload(
    chat: ChatPage, server: ChatServer, simulator: SimulatorControl
) -> None:
    simulator.script(text=ANSWER)

    chat.ask()
    written = chat.texts()
    expect(chat.page).to_have_url(re.compile(rf"^{re.escape(server.url)}/c/[0-9a-f-]{{36}}/$"))
    expect(chat.conversations).to_have_count(1)
    chat.reload()

    assert chat.texts() == written
    expect(chat.conversations).to_have_text([QUESTION])
    expect(chat.conversations.get_by_role("link")).to_have_attribute("aria-current", "page")
    expect(chat.page.get_by_test_id("reply-facts")).to_contain_text("First words after", ignore_case=True)


def test_an_assistant_below_the_minimum_says_in_plain_words_why_it_is_not_warmed(
    chat: ChatPage, simulator: SimulatorControl
) -> None:
    chat.type("Hello")
    chat.wait_for_badge("skipped")
    reason, words = chat.badge.get_attribute("data-reason"), chat.badge.inner_text()
    chat.badge.click()
    detail = chat.page.locator("#warmth-detail")
    told, place, box = detail.inner_text(), detail.bounding_box(), chat.page.locator(".composer__box").bounding_box()
    chat.page.keyboard.press("Escape")
    expect(detail).to_be_hidden()
    chat.box.press("Enter")
    chat.wait_for_status("complete")

    assert (reason, words) == ("below_minimum_tokens", "Will read up when you send")
    assert "Why: too short to be cached." in told
    assert place is not None
    assert box is not None
    assert place["y"] + place["height"] <= box["y"]
    expect(chat.reply).to_have_attribute("data-warmth", "cold")
    assert [exchange["is_warm_up"] for exchange in simulator.requests()] == [False]


def test_back_and_forward_move_between_a_conversation_and_a_new_chat(
    chat: ChatPage, simulator: SimulatorControl
) -> None:
    simulator.script(text=ANSWER)
    chat.ask()
    written = chat.texts()

    chat.page.get_by_role("link", name="New chat").click()
    expect(chat.messages).to_have_count(0)
    chat.page.go_back()
    expect(chat.messages).to_have_count(2)

    assert chat.texts() == written
    chat.page.go_forward()
    expect(chat.page.get_by_test_id("assistant-picker")).to_be_visible()


def _assert_one_warm_up_paid(simulator: SimulatorControl) -> None:
    warm_up, real = simulator.requests()
    assert (warm_up["is_warm_up"], real["is_warm_up"]) == (True, False)
    warmed_tokens = warm_up["usage"]["cache_creation_input_tokens"]
    assert warmed_tokens > 1024
    assert real["usage"]["cache_read_input_tokens"] >= 0.99 * warmed_tokens


def test_what_is_typed_before_the_page_can_listen_is_kept(chat: ChatPage) -> None:
    held: list[Route] = []
    chat.page.route(re.compile(r"/js/main\b"), lambda route: held.append(route))
    chat.page.goto(chat.page.url, wait_until="commit")
    chat.type("Which ships")
    chat.wait_until(lambda: held, "the page asks for its script")

    held[0].continue_()
    chat.page.unroute_all()
    chat.wait_until_ready()
    chat.type(" lie here?")

    expect(chat.box).to_have_value("Which ships lie here?")
    chat.reload()
    expect(chat.box).to_have_value("Which ships lie here?")


def test_the_code_before_the_first_message_is_small(chat: ChatPage) -> None:
    sizes = """() => performance.getEntriesByType("resource")
      .filter(({ name }) => /[.](m?js|css)$/.test(name)).map(({ encodedBodySize }) => encodedBodySize)"""

    fetched = chat.page.evaluate(sizes)

    assert len(fetched) > 50
    assert sum(fetched) < 200 * 1024
