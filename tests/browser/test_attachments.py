"""Files that go with a message: chosen, dropped or pasted, shown as chips, read ahead while the question is typed."""

import io
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser import axe
from tests.browser.chat_page import ChatPage
from tests.servers.chat_server import SimulatorControl, messages_of

BARGES = b"# Ships\n\n" + b"The barge Anna lies at pier 4.\n" * 900
NOTES = {"name": "notes.md", "mimeType": "text/markdown", "buffer": BARGES}
PICTURE = {"name": "ship.png", "mimeType": "image/png", "buffer": b"\x89PNG\r\n\x1a\n\0\0\0\0"}
REFUSED = "status of 422"


def drawing() -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.effect_mandelbrot((900, 600), (-2, -1.2, 0.8, 1.2), 80).save(file, "PNG")
    return file.getvalue()


DROP = """([zone, name, text]) => {
  const data = new DataTransfer()
  data.items.add(new File([text], name, { type: "text/plain" }))
  for (const type of ["dragover", "drop"]) {
    zone.dispatchEvent(new DragEvent(type, { dataTransfer: data, bubbles: true, cancelable: true }))
  }
}"""


def attach(chat: ChatPage, *files: dict[str, Any]) -> None:
    chat.page.get_by_test_id("attach-input").set_input_files(list(files))


def test_a_file_is_read_ahead_and_goes_with_the_question(chat: ChatPage, simulator: SimulatorControl) -> None:
    attach(chat, NOTES)
    expect(chat.page.get_by_test_id("attachment")).to_have_text("notes.md")
    chat.wait_for_badge("warm")

    chat.ask("Where does Anna lie?")

    expect(chat.page.get_by_test_id("attachment")).to_have_count(0)
    expect(chat.questions.last.get_by_role("list", name="Attached")).to_have_text("notes.md")
    warm_up, reply = (call for call in simulator.requests() if call["path"] == "/v1/messages")
    document, text = messages_of(reply)[-1]["content"]
    assert (document["title"], text["text"]) == ("notes.md", "Where does Anna lie?")
    assert warm_up["is_warm_up"]
    assert reply["usage"]["cache_read_input_tokens"] >= warm_up["usage"]["cache_creation_input_tokens"]
    chat.reload()
    expect(chat.questions.last.get_by_role("list", name="Attached")).to_have_text("notes.md")


def test_a_file_that_is_not_taken_says_why_and_can_be_removed_by_keyboard(
    chat: ChatPage, forgive: Callable[[str], None]
) -> None:
    attach(chat, PICTURE)
    chip = chat.page.get_by_test_id("attachment")
    expect(chip).to_contain_text("This picture cannot be read.")
    expect(chat.send_button).to_be_disabled()

    chip.get_by_role("button", name="Remove ship.png").press("Enter")

    expect(chip).to_have_count(0)
    expect(chat.page.get_by_test_id("attach-button")).to_be_focused()
    forgive(REFUSED)


def test_files_can_be_dropped_and_sent_without_a_word(chat: ChatPage) -> None:
    zone = chat.page.locator("#main").element_handle()

    chat.page.evaluate(DROP, [zone, "list.txt", "Anna\nBerta\n"])
    expect(chat.page.get_by_test_id("attachment")).to_have_attribute("data-state", "ready")
    chat.send_button.click()

    chat.wait_for_status("complete")
    expect(chat.questions.last.get_by_role("list", name="Attached")).to_have_text("list.txt")
    expect(chat.questions.last.locator(".bubble__text")).to_be_hidden()
    expect(chat.conversations.first).to_contain_text("list.txt")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_chips_break_no_rule_of_accessibility(chat: ChatPage, scheme: str, forgive: Callable[[str], None]) -> None:
    chat.page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    attach(chat, NOTES, PICTURE)
    expect(chat.page.get_by_test_id("attachment").nth(1)).to_have_attribute("data-state", "failed")
    expect(chat.page.get_by_test_id("attachment").nth(0)).to_have_attribute("data-state", "ready")

    assert axe.violations(chat.page) == []
    # The next test counts the calls: none of this one may come late.
    chat.wait_for_badge("warm")
    forgive(REFUSED)


def test_a_picture_is_read_ahead_shown_in_the_message_and_is_there_again_after_a_reload(
    chat: ChatPage, simulator: SimulatorControl
) -> None:
    attach(chat, NOTES, {"name": "anna.png", "mimeType": "image/png", "buffer": drawing()})
    expect(chat.page.get_by_test_id("attachment").nth(1)).to_have_attribute("data-state", "ready")
    expect(chat.page.get_by_test_id("attachment").nth(0)).to_have_attribute("data-state", "ready")
    expect(chat.page.get_by_test_id("attachment").locator("img:visible")).to_have_count(1)
    chat.wait_for_badge("warm")

    chat.ask("What is this?")
    chat.wait_for_status("complete")

    for _ in range(2):
        picture = chat.questions.last.get_by_test_id("picture")
        expect(picture).to_have_attribute("alt", "anna.png")
        expect(picture).to_have_js_property("complete", True)
        expect(picture).to_have_js_property("naturalWidth", 900)
        expect(chat.questions.last.get_by_role("list", name="Attached")).to_contain_text("notes.md")
        assert axe.violations(chat.page) == []
        chat.reload()
    reply = next(call for call in simulator.requests() if call["path"] == "/v1/messages" and not call["is_warm_up"])
    assert [block["type"] for block in messages_of(reply)[-1]["content"]] == ["document", "image", "text"]
    assert reply["usage"]["cache_read_input_tokens"] > 0
