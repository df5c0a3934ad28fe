"""Writing a message: no key and no second click does what was not meant."""

from collections.abc import Callable

from playwright.sync_api import expect

from tests.browser.chat_page import QUESTION, ChatPage
from tests.browser.held_replies import HoldReply
from tests.servers.chat_server import LiveUser

PHONE = {"viewport": {"width": 375, "height": 812}, "has_touch": True, "is_mobile": True}

# As Safari reports the Enter that confirms a word of an input method.
ENTER_OF_SAFARI = """(input) => {
  const press = new KeyboardEvent("keydown", { key: "Enter", keyCode: 229, bubbles: true, cancelable: true })
  input.dispatchEvent(press)
}"""


def test_the_second_click_of_a_double_click_on_send_does_not_stop_the_reply(
    chat: ChatPage, held_reply: HoldReply
) -> None:
    with held_reply("word " * 200):
        chat.box.fill(QUESTION)
        place = chat.send_button.bounding_box()
        assert place is not None
        middle = (place["x"] + place["width"] / 2, place["y"] + place["height"] / 2)
        chat.page.mouse.click(*middle)
        expect(chat.stop_button).to_be_visible()
        chat.wait_for_words()

        chat.page.mouse.click(*middle)

    chat.wait_for_status("complete")
    assert len(chat.texts()) == 2


def test_on_a_phone_enter_breaks_the_line_and_the_button_sends(
    open_chat: Callable[..., ChatPage], person: LiveUser
) -> None:
    chat = open_chat(person, **PHONE)

    chat.type("One line")
    chat.box.press("Enter")
    chat.type("and another")
    chat.send_button.tap()
    chat.wait_for_status("complete")

    assert chat.texts()[0] == "One line\nand another"


def test_the_enter_that_confirms_a_word_sends_neither_a_message_nor_an_edit(chat: ChatPage) -> None:
    chat.ask()
    chat.box.fill("にほん")
    chat.box.evaluate(ENTER_OF_SAFARI)
    chat.questions.get_by_role("button", name="Edit").click()
    editor = chat.page.get_by_test_id("message-editor").get_by_role("textbox")
    editor.evaluate(ENTER_OF_SAFARI)

    expect(editor).to_be_visible()
    expect(chat.box).to_have_value("にほん")
    expect(chat.replies).to_have_count(1)
