"""Replies that never begin: a person reads what happened and what can be done, never an error of the machinery."""

import pytest
from playwright.sync_api import expect

from tests.browser.chat_page import QUESTION, ChatPage
from tests.servers.chat_server import SimulatorControl


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"kind": "unauthorized"}, "API key"),
        ({"kind": "overloaded", "times": 3}, "busy|overloaded"),
        ({"kind": "reset", "times": 3}, "reach|connect"),
    ],
    ids=("401", "529", "no connection"),
)
def test_a_failed_reply_tells_a_person_what_happened(
    chat: ChatPage, simulator: SimulatorControl, fault: dict[str, object], words: str
) -> None:
    simulator.fault(match="reply", **fault)

    chat.send()
    chat.wait_for_status("failed")

    message = chat.reply.locator("[data-part=ending-text]").inner_text()
    assert message.startswith("This reply failed.")
    assert any(word.lower() in message.lower() for word in words.split("|")), message
    assert not any(sign in message for sign in "{}<>"), message
    expect(chat.send_button).to_be_visible()


def test_a_failed_reply_can_be_tried_again(chat: ChatPage, simulator: SimulatorControl) -> None:
    simulator.fault(kind="overloaded", match="reply", times=3)
    simulator.script(text="It works again.")
    chat.send()
    chat.wait_for_status("failed")

    chat.again.click()
    chat.wait_for_status("complete")

    assert chat.texts() == [QUESTION, "It works again."]


def test_a_message_that_is_not_taken_can_be_written_anew(chat: ChatPage, simulator: SimulatorControl) -> None:
    simulator.fault(kind="status", status=400, match="reply")
    chat.send()
    chat.wait_for_status("failed")
    expect(chat.reply).to_contain_text("Edit your message, or start a new chat.")
    expect(chat.again).to_be_hidden()

    chat.reply.get_by_role("button", name="Edit message").click()

    expect(chat.page.get_by_test_id("message-editor").get_by_role("textbox")).to_be_focused()
