"""Writing a message: no key and no second click does what was not meant."""

from collections.abc import Callable
from typing import Any

from playwright.sync_api import expect

from tests.browser.chat_page import QUESTION, ChatPage
from tests.browser.held_replies import HoldReply
from tests.servers.chat_server import ChatServer, LiveUser

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


NOTES = [
    {"name": f"{name}.md", "mimeType": "text/markdown", "buffer": f"# {name}\n".encode() * 40}
    for name in ("one", "two", "three")
]


def attach(chat: ChatPage, *files: dict[str, Any]) -> None:
    chat.page.get_by_test_id("attach-input").set_input_files(list(files))


def test_a_new_chat_of_each_tab_keeps_its_words_and_files_over_a_reload(
    chat: ChatPage, second_tab: Callable[[ChatPage], ChatPage]
) -> None:
    other = second_tab(chat)
    files = chat.page.get_by_test_id("attachment")
    attach(chat, *NOTES)
    expect(files.and_(chat.page.locator("[data-state=ready]"))).to_have_count(3)
    chat.type("The first")
    other.type("The second")

    for page in (chat, other):
        page.reload()

    expect(chat.box).to_have_value("The first")
    expect(files).to_have_text(["one.md", "two.md", "three.md"])
    expect(other.box).to_have_value("The second")
    expect(other.page.get_by_test_id("attachment")).to_have_count(0)
    chat.box.press("Enter")
    chat.wait_for_status("complete")
    expect(chat.questions.get_by_role("list", name="Attached").get_by_role("listitem")).to_have_text(
        ["one.md", "two.md", "three.md"]
    )
    chat.reload()
    expect(files).to_have_count(0)


def test_an_edit_that_was_begun_waits_for_its_writer(chat: ChatPage) -> None:
    editor = chat.page.get_by_test_id("message-editor")
    attach(chat, NOTES[0])
    expect(chat.page.get_by_test_id("attachment")).to_have_attribute("data-state", "ready")
    chat.ask()
    chat.questions.get_by_role("button", name="Edit").click()
    expect(editor.get_by_role("listitem")).to_have_text("one.md")
    editor.get_by_role("textbox").fill("A better quest")

    chat.page.get_by_role("link", name="New chat").click()
    expect(editor).to_be_hidden()
    chat.conversations.get_by_role("link").click()
    expect(editor.get_by_role("textbox")).to_have_value("A better quest")
    chat.reload()
    expect(editor.get_by_role("textbox")).to_have_value("A better quest")
    editor.get_by_role("textbox").press("Escape")
    chat.reload()

    expect(chat.questions).to_have_count(1)
    expect(editor).to_be_hidden()


def test_an_edit_that_is_too_long_cannot_be_sent_and_says_so(chat: ChatPage) -> None:
    chat.ask()
    chat.questions.get_by_role("button", name="Edit").click()
    editor = chat.page.get_by_test_id("message-editor")

    editor.get_by_role("textbox").fill("x" * 100_005)

    expect(editor).to_contain_text("5 characters too many to send")
    expect(editor.get_by_role("button", name="Send")).to_be_disabled()
    editor.get_by_role("textbox").press("Enter")
    expect(editor).to_be_visible()


def test_words_and_files_outlive_the_session_and_the_tab_and_signing_out_forgets_them(
    open_chat: Callable[..., ChatPage], person: LiveUser, second_tab: Callable[[ChatPage], ChatPage], server: ChatServer
) -> None:
    chat = open_chat(person)
    attach(chat, *NOTES)
    expect(chat.page.locator("[data-testid=attachment][data-state=ready]")).to_have_count(3)
    chat.type("Half a thou")

    cookies = chat.page.context.cookies()
    chat.page.context.clear_cookies()
    chat.page.reload()
    chat.page.wait_for_url("**/accounts/login/**")
    chat.page.context.add_cookies(cookies)  # type: ignore[arg-type]  what Playwright gives, it takes
    chat.page.goto(server.url)
    chat.wait_until_ready()

    expect(chat.box).to_have_value("Half a thou")
    expect(chat.page.get_by_test_id("attachment")).to_have_text(["one.md", "two.md", "three.md"])

    other = second_tab(chat)
    # Playwright closes a page without the events that a person's browser sends.
    chat.page.goto("about:blank")
    chat.page.close()
    other.reload()

    expect(other.box).to_have_value("Half a thou")
    expect(other.page.get_by_test_id("attachment")).to_have_count(3)

    other.page.get_by_role("button", name="Sign out").click()
    other.page.wait_for_url("**/accounts/login/**")

    kept = (
        "[localStorage, sessionStorage].flatMap(each => Object.keys(each)).filter(key => key.startsWith('warmcache:'))"
    )
    assert other.page.evaluate(kept) == []
