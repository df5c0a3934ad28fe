"""What warming did, as an operator reads it in the admin."""

from collections.abc import Callable

from playwright.sync_api import Page, expect

from tests.browser.chat_page import QUESTION, ChatPage
from tests.servers.chat_server import LiveUser


def test_a_warm_up_is_listed_with_its_outcome_and_opens_with_its_numbers(
    open_chat: Callable[..., ChatPage], open_admin: Callable[[str], Page], person: LiveUser, cold_assistant: int
) -> None:
    chat = open_chat(person, assistant=cold_assistant)
    chat.type(QUESTION)
    chat.wait_for_badge("warm")
    chat.box.press("Enter")
    chat.wait_for_status("complete")

    page = open_admin("warmcache/warmup/")
    newest = page.locator("#result_list tbody tr").first
    expect(newest.get_by_role("cell", name="hit", exact=True)).to_be_visible()
    newest.get_by_role("link").first.click()

    expect(page.locator("#content")).to_contain_text("claude-sonnet-5-5")


def test_the_lists_of_requests_and_skips_open_without_a_complaint(
    chat: ChatPage, open_admin: Callable[[str], Page]
) -> None:
    chat.type("Hello")
    chat.wait_for_badge("skipped")
    chat.box.press("Enter")
    chat.wait_for_status("complete")

    page = open_admin("warmcache/usagerecord/")
    expect(page.locator("#result_list tbody tr").first).to_contain_text("complete")
    page.get_by_role("link", name="Skip counts").click()

    expect(page.locator("#content h1")).to_contain_text("skip count")
