"""Editing, answering again, and the way between versions: with the mouse, by keyboard, and in every tab."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, expect

from tests.browser import axe
from tests.browser.chat_page import ChatPage
from tests.servers.chat_server import SimulatorControl


@pytest.fixture
def answered(chat: ChatPage, simulator: SimulatorControl) -> ChatPage:
    simulator.script(text="The first answer.")
    chat.ask("First")
    return chat


def edit(chat: ChatPage, text: str) -> None:
    """The newest question, by keyboard alone."""
    button = chat.questions.last.get_by_role("button", name="Edit")
    button.focus()
    button.press("Enter")
    box = chat.page.get_by_test_id("message-editor").get_by_role("textbox")
    expect(box).to_be_focused()
    box.fill(text)
    box.press("Enter")


def versions(message: Locator) -> Locator:
    return message.get_by_test_id("versions")


def test_an_edited_message_and_its_first_version_are_one_press_apart_in_every_tab(
    answered: ChatPage, simulator: SimulatorControl, second_tab: Callable[[ChatPage], ChatPage]
) -> None:
    simulator.script(text="A better answer.")
    edit(answered, "First, better")
    expect(answered.reply_body).to_contain_text("A better answer.")
    answered.wait_for_status("complete")
    second = second_tab(answered)
    expect(versions(second.questions.first)).to_contain_text("2 / 2")

    previous = versions(answered.questions.first).get_by_role("button", name="Previous version")
    previous.focus()
    previous.press("Enter")

    for tab in (answered, second):
        expect(versions(tab.questions.first)).to_contain_text("1 / 2")
        expect(tab.reply_body).to_contain_text("The first answer.")
        assert list(tab.texts())[0] == "First"
    expect(versions(answered.questions.first).get_by_role("button", name="Next version")).to_be_focused()
    answered.reload()
    expect(versions(answered.questions.first)).to_contain_text("1 / 2")


def test_asking_again_keeps_the_earlier_reply(answered: ChatPage, simulator: SimulatorControl) -> None:
    simulator.script(text="The second answer.")
    answered.page.get_by_role("button", name="Ask again").click()
    expect(answered.reply_body).to_contain_text("The second answer.")
    answered.wait_for_status("complete")

    versions(answered.reply).get_by_role("button", name="Previous version").click()

    expect(answered.reply_body).to_contain_text("The first answer.")
    expect(answered.replies).to_have_count(1)
    assert axe.violations(answered.page) == []


def test_escape_leaves_the_message_as_it_was(answered: ChatPage) -> None:
    button = answered.questions.first.get_by_role("button", name="Edit")
    button.click()
    box = answered.page.get_by_test_id("message-editor").get_by_role("textbox")
    box.fill("Never mind")
    assert axe.violations(answered.page) == []

    box.press("Escape")

    expect(answered.questions.first.locator("[data-part=text]")).to_have_text("First")
    expect(box).to_have_count(0)
    expect(button).to_be_focused()
