"""Renaming and deleting, here and at once in every other tab."""

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.browser.chat_page import QUESTION, ChatPage
from tests.servers.chat_server import ChatServer, SimulatorControl


@pytest.fixture
def answered(chat: ChatPage, simulator: SimulatorControl) -> ChatPage:
    simulator.script(text="Yes.")
    chat.ask()
    return chat


def test_a_new_name_shows_everywhere(answered: ChatPage, second_tab: Callable[[ChatPage], ChatPage]) -> None:
    second = second_tab(answered)
    choose_from_menu(answered, "Rename…")
    name = answered.page.get_by_role("textbox", name="Name")
    expect(name).to_have_value(QUESTION)

    name.fill("Harbour <b>log</b>")
    name.press("Enter")

    for tab in (answered, second):
        expect(tab.conversations).to_have_text(["Harbour <b>log</b>"])
        expect(tab.page.get_by_role("heading", level=1)).to_have_text("Harbour <b>log</b>")
        expect(tab.page).to_have_title("Harbour <b>log</b> · Warmcache")


def test_a_deleted_conversation_is_gone_everywhere(
    answered: ChatPage, second_tab: Callable[[ChatPage], ChatPage], server: ChatServer
) -> None:
    conversation_id = answered.conversation_id.replace("-", "")
    second = second_tab(answered)

    choose_from_menu(answered, "Delete")

    for tab in (answered, second):
        expect(tab.conversations).to_have_count(0)
        expect(tab.messages).to_have_count(0)
        expect(tab.page.get_by_test_id("assistant-picker")).to_be_visible()
        expect(tab.page).to_have_url(server.url + "/")
    gone = "SELECT count(*) FROM chatapp_conversation WHERE replace(id, '-', '') = ? AND deleted_at IS NOT NULL"
    assert server.query(gone, conversation_id) == [(1,)]


def choose_from_menu(chat: ChatPage, item: str) -> None:
    chat.conversations.hover()
    chat.conversations.get_by_role("button").click()
    chat.page.get_by_role("menuitem", name=item).click()
