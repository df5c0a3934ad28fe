"""A link that everybody may read, and what the keys do."""

from collections.abc import Callable
from typing import Any

from playwright.sync_api import expect

from tests.browser.chat_page import ChatPage
from tests.browser.held_replies import begin_and_hang
from tests.browser.test_conversation_menu import choose_from_menu
from tests.servers.chat_server import SimulatorControl

ANSWER = "# Ships\n\nThe **blue** one: $x^2$\n\n```python\nprint(1)\n```\n\n<img src=x onerror=alert(1)>"

PASTE = """text => {
  const pasted = new DataTransfer()
  pasted.setData("text/plain", text)
  const event = new ClipboardEvent("paste", { clipboardData: pasted, bubbles: true, cancelable: true })
  document.activeElement.dispatchEvent(event)
}"""


def test_a_stranger_reads_a_shared_answer_as_the_chat_shows_it_until_it_is_revoked(
    chat: ChatPage, simulator: SimulatorControl, open_page: Callable[..., Any]
) -> None:
    simulator.script(text=ANSWER)
    chat.ask()
    choose_from_menu(chat, "Share…")
    dialog = chat.page.get_by_test_id("share-dialog")
    expect(dialog).to_contain_text("Not in it: your name, files and pictures")

    chat.page.get_by_test_id("share-make").click()
    link = chat.page.get_by_test_id("share-link")
    expect(link).to_be_visible()
    stranger = open_page(link.input_value(), viewport={"width": 360, "height": 640})

    expect(stranger.locator("html[data-ready=true]")).to_be_attached()
    expect(stranger.get_by_role("heading", name="Ships", exact=True)).to_be_visible()
    expect(stranger.locator(".katex")).to_be_visible()
    expect(stranger.locator(".code")).to_contain_text("print(1)")
    expect(stranger.locator(".prose img")).to_have_count(0)
    assert stranger.evaluate("document.documentElement.scrollWidth") <= 360
    chat.page.get_by_role("button", name="Done").click()
    chat.page.get_by_role("link", name=chat.page.locator(".sidebar__user").inner_text()).click()
    chat.page.get_by_test_id("shared-links").get_by_role("button").click()
    expect(chat.page.get_by_test_id("shared-links")).to_have_count(0)
    answer = stranger.request.get(stranger.url)
    assert (answer.status, "There is nothing here" in answer.text()) == (404, True)


def test_the_keys_edit_the_last_message_list_themselves_and_make_a_file_of_a_long_paste(
    chat: ChatPage, simulator: SimulatorControl
) -> None:
    simulator.script(text="The first part", stop_reason="max_tokens")
    chat.ask("First")
    editor = chat.page.get_by_test_id("message-editor")
    keys = chat.page.get_by_test_id("shortcuts")

    chat.box.press("ArrowUp")
    expect(editor.get_by_role("textbox")).to_have_value("First")
    chat.page.keyboard.press("Escape")
    expect(editor).to_have_count(0)
    chat.box.press("?")
    expect(chat.box).to_have_value("?")
    chat.page.keyboard.press("Control+/")
    expect(keys).to_be_visible()
    chat.page.keyboard.press("Escape")
    expect(keys).to_be_hidden()
    chat.box.fill("")
    chat.page.evaluate(PASTE, "short")
    chat.page.evaluate(PASTE, "a line\n" * 2_000)
    expect(chat.page.get_by_test_id("attachment")).to_have_text("Pasted text.txt")

    simulator.script(text="and the rest.")
    chat.page.get_by_test_id("go-on").click()

    expect(chat.replies).to_have_count(2)
    chat.wait_for_status("complete")
    expect(chat.questions.last).to_contain_text("Continue where you stopped.")
    expect(chat.page.get_by_test_id("go-on").first).to_be_hidden()
    expect(chat.page.get_by_test_id("attachment")).to_have_count(1)

    begin_and_hang(simulator, "word " * 200)
    chat.send()
    expect(chat.replies).to_have_count(3)
    chat.wait_for_words()
    chat.box.press("Escape")

    chat.wait_for_status("stopped")
