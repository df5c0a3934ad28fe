"""A person's limits: told before they are met, and in plain words with the time when they are."""

import os
import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser import axe
from tests.browser.chat_page import ChatPage
from tests.servers.chat_server import ChatServer

MOST = 6
LEFT = re.compile(rf"^1 of {MOST} messages left today$")


@pytest.fixture
def limit(server: ChatServer) -> Iterator[Callable[[int], None]]:
    """Sets how many messages a day each person has."""

    def set_limit(most: int) -> None:
        server.query(
            "INSERT INTO chatapp_usagelimit (applies_to, messages_per_day, updated_at)"
            " VALUES ('each_person', ?, CURRENT_TIMESTAMP) RETURNING id",
            most,
        )

    yield set_limit
    server.query("DELETE FROM chatapp_usagelimit RETURNING id")
    server.query("DELETE FROM chatapp_usageaccount RETURNING name")


def shoot(page: Page, name: str) -> None:
    """A picture for whoever wants to look at it."""
    if folder := os.environ.get("SCREENSHOTS"):
        page.screenshot(path=f"{folder}/{name}.png")


def test_a_person_sees_what_is_left_and_then_why_a_message_is_not_sent(
    chat: ChatPage, limit: Callable[[int], None], server: ChatServer
) -> None:
    line = chat.page.get_by_test_id("quota")
    server.query("DELETE FROM chatapp_usageaccount RETURNING name")
    limit(MOST)

    for number in range(MOST - 1):
        expect(line).to_have_text("")
        chat.ask(f"Question {number}")
    expect(line).to_have_text(LEFT)
    assert axe.violations(chat.page) == []
    shoot(chat.page, "quota-nearly")
    chat.reload()
    expect(line).to_have_text(LEFT)

    chat.ask("The last one")
    chat.send("One too many")
    refused = chat.page.get_by_test_id("message").filter(has_text="One too many")
    expect(refused).to_contain_text(f"You may send {MOST} messages a day, and that many are sent.")
    expect(refused).to_contain_text(re.compile(r"You can send again at \d\d:\d\d\."))
    expect(line).to_have_text(f"0 of {MOST} messages left today")
    assert axe.violations(chat.page) == []
    shoot(chat.page, "quota-met")
