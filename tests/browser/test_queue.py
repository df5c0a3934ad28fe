"""Messages that are sent while a reply runs: seen as waiting, taken back, and sent in their turn."""

from collections.abc import Callable

from playwright.sync_api import Locator, expect

from tests.browser import axe
from tests.browser.chat_page import ChatPage
from tests.browser.held_replies import HoldReply, begin_and_hang
from tests.servers.chat_server import SimulatorControl

LONG = "One ship after another. " * 60


def waiting(chat: ChatPage) -> Locator:
    return chat.page.get_by_test_id("queued-message")


def test_a_message_waits_for_the_end_of_the_reply_and_then_is_sent(
    chat: ChatPage, simulator: SimulatorControl, held_reply: HoldReply, second_tab: Callable[[ChatPage], ChatPage]
) -> None:
    with held_reply(LONG):
        simulator.script(text="The answer to the second.")
        chat.send("First")
        chat.wait_for_words()
        chat.send("Second")
        expect(waiting(chat)).to_contain_text("Sent when this reply is done")
        expect(chat.box).to_have_value("")
        second = second_tab(chat)
        expect(waiting(second).locator("[data-part=text]")).to_have_text("Second")
        assert axe.violations(chat.page) == []

    for tab in (chat, second):
        expect(tab.reply_body).to_contain_text("The answer to the second.")
        expect(waiting(tab)).to_have_count(0)
        expect(tab.questions).to_have_count(2)
        expect(tab.replies).to_have_count(2)


def test_a_waiting_message_goes_back_into_the_composer_or_away(chat: ChatPage, held_reply: HoldReply) -> None:
    with held_reply(LONG):
        chat.send("First")
        chat.wait_for_words()
        for text in ("Second", "Third"):
            chat.send(text)
            expect(waiting(chat).filter(has_text=text)).to_have_count(1)
        waiting(chat).filter(has_text="Third").get_by_role("button", name="Remove").click()
        expect(waiting(chat)).to_have_count(1)
        chat.box.fill("and half a thought")
        waiting(chat).get_by_role("button", name="Edit").click()
        expect(waiting(chat)).to_have_count(0)
        expect(chat.box).to_have_value("Second\n\nand half a thought")
        expect(chat.box).to_be_focused()
    chat.wait_for_status("complete")

    expect(chat.questions).to_have_count(1)


def test_after_a_stop_what_waits_is_offered(chat: ChatPage, simulator: SimulatorControl) -> None:
    begin_and_hang(simulator, LONG)
    chat.send("First")
    chat.wait_for_words()
    chat.send("Second")
    expect(waiting(chat)).to_have_count(1)
    chat.stop_button.click()
    expect(waiting(chat)).to_contain_text("Not sent")
    simulator.script(text="Well, then.")

    waiting(chat).get_by_role("button", name="Send now").click()

    expect(chat.reply_body).to_contain_text("Well, then.")
    expect(waiting(chat)).to_have_count(0)
