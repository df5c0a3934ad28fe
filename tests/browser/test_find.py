"""Finding what was said: the search, the list and its marks, what is pinned, archived and deleted."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.browser.chat_page import ChatPage
from tests.browser.held_replies import HoldReply
from tests.servers.chat_server import SimulatorControl

MARKED = """() => [...(CSS.highlights.get("found") ?? [])].map((range) => range.toString())"""


def say(chat: ChatPage, simulator: SimulatorControl, question: str, answer: str) -> None:
    simulator.script(text=answer)
    chat.ask(question)


def new_chat(chat: ChatPage, assistant: int) -> None:
    chat.page.get_by_role("link", name="New chat").click()
    chat.choose(assistant)


def choose_from_menu(chat: ChatPage, title: str, item: str) -> None:
    listed = chat.conversations.filter(has_text=title)
    listed.hover()
    listed.get_by_role("button").click()
    chat.page.get_by_role("menuitem", name=item, exact=True).click()


@pytest.fixture
def two_chats(chat: ChatPage, simulator: SimulatorControl, small_talk: int) -> ChatPage:
    """An older one about lighthouses, and one about bread, which is open."""
    say(chat, simulator, "Where is the old tower?", "The **lighthouse** stands at the northern pier. " * 20)
    new_chat(chat, small_talk)
    say(chat, simulator, "How do I bake?", "With flour and water.")
    return chat


def search(chat: ChatPage, words: str, hits: int) -> None:
    """The index is written in the background: asks again until it has the words."""
    field = chat.page.get_by_test_id("search-field")

    def is_found() -> bool:
        field.fill("")
        field.fill(words)
        expect(chat.page.locator("#search-status")).not_to_have_text("Searching…")
        return chat.page.get_by_test_id("search-result").count() == hits

    chat.wait_until(is_found, f"{hits} hits for {words}")


def test_a_hit_opens_the_message_with_the_words_marked(two_chats: ChatPage) -> None:
    search(two_chats, "LIGHTH pier", 1)
    result = two_chats.page.get_by_test_id("search-result")
    expect(result.locator("mark").first).to_have_text("lighth")

    result.get_by_role("link").click()

    expect(two_chats.messages).to_have_count(2)
    found = two_chats.page.locator("[data-found=true]")
    expect(found).to_contain_text("northern pier")
    expect(found).to_be_in_viewport()
    two_chats.wait_until(lambda: {"lighth", "pier"} <= set(two_chats.page.evaluate(MARKED)), "the words are marked")

    two_chats.page.get_by_role("link", name="New chat").click()
    assert two_chats.page.evaluate(MARKED) == []


def test_escape_brings_the_list_back(two_chats: ChatPage) -> None:
    search(two_chats, "flour", 1)
    expect(two_chats.conversations.first).to_be_hidden()

    two_chats.page.get_by_test_id("search-field").press("Escape")

    expect(two_chats.conversations).to_have_text([re.compile("How do I bake"), re.compile("old tower")])
    two_chats.page.keyboard.press("Control+k")
    expect(two_chats.page.get_by_test_id("search-field")).to_be_focused()


def test_what_is_pinned_stays_at_the_top(two_chats: ChatPage) -> None:
    choose_from_menu(two_chats, "old tower", "Pin")

    expect(two_chats.page.locator("#conversations h3")).to_have_text(["Pinned", "Today"])
    expect(two_chats.conversations).to_have_text([re.compile("old tower.*Pinned"), re.compile("How do I bake")])
    two_chats.reload()
    expect(two_chats.conversations.first).to_contain_text("old tower")


def test_the_archive_keeps_what_is_put_away(two_chats: ChatPage) -> None:
    choose_from_menu(two_chats, "old tower", "Archive")
    expect(two_chats.conversations).to_have_count(1)
    two_chats.reload()
    expect(two_chats.conversations).to_have_count(1)

    two_chats.page.get_by_role("button", name="Archive", exact=True).click()
    expect(two_chats.conversations).to_have_text([re.compile("old tower")])
    choose_from_menu(two_chats, "old tower", "Back to the list")
    two_chats.page.get_by_role("button", name="Archive", exact=True).click()

    expect(two_chats.conversations).to_have_count(2)


def test_a_deletion_is_undone_with_one_press(two_chats: ChatPage, second_tab: Callable[[ChatPage], ChatPage]) -> None:
    second = second_tab(two_chats)
    choose_from_menu(two_chats, "How do I bake", "Delete")
    expect(second.conversations).to_have_count(1)
    expect(two_chats.page.get_by_test_id("undo")).to_contain_text("“How do I bake?” is deleted.")
    undo = two_chats.page.get_by_role("button", name="Undo")
    expect(undo).to_be_focused()

    undo.press("Enter")

    for tab in (two_chats, second):
        expect(tab.conversations).to_have_count(2)
    two_chats.conversations.filter(has_text="bake").get_by_role("link").click()
    expect(two_chats.messages).to_have_count(2)


def test_a_reply_that_ends_elsewhere_is_marked_until_it_is_read(
    two_chats: ChatPage, held_reply: HoldReply, second_tab: Callable[[ChatPage], ChatPage]
) -> None:
    bread = two_chats.conversations.filter(has_text="bake")
    with held_reply("It takes an hour. It is worth it."):
        two_chats.type("And how long?")
        two_chats.box.press("Enter")
        expect(bread).to_have_attribute("data-mark", "running")
        two_chats.conversations.filter(has_text="old tower").get_by_role("link").click()
        expect(bread).to_have_attribute("data-mark", "running")

    expect(bread).to_have_attribute("data-mark", "unread")
    second = second_tab(two_chats)
    elsewhere = second.conversations.filter(has_text="bake")
    expect(elsewhere).to_have_attribute("data-mark", "unread")
    bread.get_by_role("link").click()

    expect(bread).to_have_attribute("data-mark", "")
    expect(elsewhere).to_have_attribute("data-mark", "")


def test_a_reply_that_was_watched_is_no_news(two_chats: ChatPage) -> None:
    two_chats.conversations.filter(has_text="old tower").get_by_role("link").click()
    expect(two_chats.page.get_by_role("heading", level=1)).to_contain_text("old tower")

    two_chats.reload()

    marks = [each.get_attribute("data-mark") for each in two_chats.conversations.all()]
    assert marks == ["", ""]
