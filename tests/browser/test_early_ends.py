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


def test_a_refused_message_can_be_edited_where_the_refusal_is_told(chat: ChatPage, simulator: SimulatorControl) -> None:
    why = "This could be used to break into systems."
    details = {"type": "refusal", "category": "cyber", "explanation": why}
    simulator.script(text="I cannot help with that.", stop_reason="refusal", stop_details=details)
    chat.ask()
    told = chat.reply.locator("[data-part=ending-text]")
    expect(told).to_contain_text(f"The model declined to answer. {why} Your message and this answer are left out")
    chat.reload()
    expect(told).to_contain_text(why)
    simulator.script(text="Of course.")

    chat.reply.get_by_role("button", name="Edit message").click()
    editor = chat.page.locator("form.editor textarea")
    expect(editor).to_be_focused()
    editor.fill("A better question")
    editor.press("Enter")
    expect(chat.reply_body).to_contain_text("Of course.")

    assert chat.texts() == ["A better question", "Of course."]


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
