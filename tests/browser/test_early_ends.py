"""Replies that are stopped, declined or cut off: what had arrived stays, and words say what happened."""

from playwright.sync_api import expect

from tests.browser.chat_page import QUESTION, ChatPage
from tests.browser.held_replies import begin_and_hang
from tests.servers.chat_server import SimulatorControl

WORDS = " ".join(f"word{number}" for number in range(200))


def test_stop_keeps_the_text_and_says_so_and_try_again_makes_a_new_reply(
    chat: ChatPage, simulator: SimulatorControl
) -> None:
    begin_and_hang(simulator, WORDS)
    chat.send()
    chat.wait_for_words()

    chat.stop_button.click()
    chat.wait_for_status("stopped")
    kept = chat.reply_body.inner_text()
    expect(chat.reply).to_contain_text("You stopped this reply.")
    simulator.script(text="Another try.")
    chat.again.click()
    chat.wait_for_status("complete")

    assert kept
    assert WORDS.startswith(kept)
    assert chat.texts() == [QUESTION, "Another try."]
    expect(chat.send_button).to_be_visible()
    chat.wait_until(lambda: simulator.requests()[0]["hung_up"], "the call of the stopped reply is given up")


def test_a_reply_that_the_model_declines_says_so(chat: ChatPage, simulator: SimulatorControl) -> None:
    simulator.script(text="I cannot help with that.", stop_reason="refusal")

    chat.ask()

    expect(chat.reply).to_contain_text("The model declined to go on with this reply.")


def test_a_reply_cut_in_the_middle_keeps_its_beginning(chat: ChatPage, simulator: SimulatorControl) -> None:
    simulator.script(text=WORDS)
    simulator.fault(kind="cut", match="reply", where="after_first_token", after_tokens=40)

    chat.send()
    chat.wait_for_status("interrupted")
    kept = chat.reply_body.inner_text()
    chat.reload()

    assert kept
    assert WORDS.startswith(kept)
    assert chat.reply_body.inner_text() == kept
    expect(chat.reply).to_contain_text("cut off")
    expect(chat.again).to_be_visible()
