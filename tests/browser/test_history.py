"""Long conversations: the end at once, what came before as the reader goes up, and nobody loses his place."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, expect

from chatapp.socket.history import PART_MESSAGES
from tests.browser.chat_page import ChatPage
from tests.browser.held_history import HeldHistory
from tests.servers.chat_server import ChatServer, LiveUser, SimulatorControl
from tests.servers.long_chat import long_chat

OpenLong = Callable[[int], ChatPage]

COUNT_NODES = "document.querySelectorAll('#messages *').length"
FIRST_IN_SIGHT = """() => {
  const top = document.getElementById("messages-pane").getBoundingClientRect().top
  const isInSight = (each) => each.getBoundingClientRect().bottom > top
  const found = [...document.querySelectorAll("#messages > li")].find(isInSight)
  return [found.dataset.messageId, Math.round(found.getBoundingClientRect().top - top)]
}"""
# Until what came into sight is laid out, and nothing moves any more.
WAIT_UNTIL_LAID_OUT = """() => new Promise((done) => {
  const pane = document.getElementById("messages-pane")
  let [seen, quietFrames] = ["", 0]
  const look = () => {
    const now = `${pane.scrollHeight} ${pane.scrollTop}`
    quietFrames = seen === now ? quietFrames + 1 : 0
    seen = now
    quietFrames < 10 ? requestAnimationFrame(look) : done()
  }
  requestAnimationFrame(look)
})"""
COUNT_AS_PRINTED = """() => {
  window.print = () => { window.printed = document.querySelectorAll("#messages > li").length }
}"""
SCROLL_TO_START = """() => {
  const pane = document.getElementById("messages-pane")
  pane.scrollTop = Math.min(pane.scrollTop, pane.clientHeight - 10)
}"""


@pytest.fixture
def open_long(server: ChatServer, open_chat: Callable[..., ChatPage], person: LiveUser) -> OpenLong:
    """Opens a conversation of so many messages."""

    def open_it(messages: int) -> ChatPage:
        return open_chat(person, path=f"/c/{long_chat(server, person.username, messages=messages)}/")

    return open_it


def shown(chat: ChatPage) -> list[int]:
    """The numbers that the messages begin with, in the order of the page."""
    # What is far above is not laid out, and has no inner text.
    parts = chat.messages.locator("[data-part=text], .reply__body")
    return [int(text.split()[1]) for text in parts.all_text_contents() if text.strip()]


def earlier(chat: ChatPage) -> Locator:
    return chat.page.get_by_role("button", name="Show earlier messages")


def read_to_the_start(chat: ChatPage, *, count: int) -> None:
    """Scrolls up again and again, as each part keeps the reader's place, until so many messages are there."""
    chat.wait_until(
        lambda: chat.page.evaluate(SCROLL_TO_START) or chat.messages.count() == count, "the whole conversation is there"
    )


def at_end(chat: ChatPage) -> bool:
    pane = chat.page.locator("#messages-pane")
    return bool(pane.evaluate("pane => pane.scrollHeight - pane.clientHeight - pane.scrollTop < 2"))


def test_opening_two_thousand_messages_makes_as_many_nodes_as_one_part(open_long: OpenLong) -> None:
    small = open_long(PART_MESSAGES)
    nodes_of_a_part = small.page.evaluate(COUNT_NODES)

    large = open_long(2000)

    assert large.page.evaluate(COUNT_NODES) == nodes_of_a_part
    assert shown(large) == list(range(2000 - PART_MESSAGES, 2000))
    assert at_end(large)


def test_going_up_brings_earlier_messages_and_moves_nothing_that_is_read(open_long: OpenLong) -> None:
    chat = open_long(PART_MESSAGES * 2 + 10)
    held = HeldHistory(chat)
    chat.page.evaluate(SCROLL_TO_START)
    expect(chat.page.get_by_text("Loading earlier messages…")).to_be_visible()
    chat.page.evaluate(WAIT_UNTIL_LAID_OUT)
    before = chat.page.evaluate(FIRST_IN_SIGHT)

    held.let_one_in()
    expect(chat.messages).to_have_count(PART_MESSAGES * 2)
    chat.page.evaluate(WAIT_UNTIL_LAID_OUT)
    after = chat.page.evaluate(FIRST_IN_SIGHT)

    assert after[0] == before[0]
    assert abs(after[1] - before[1]) <= 1
    chat.page.evaluate(SCROLL_TO_START)
    held.let_one_in()
    expect(chat.messages).to_have_count(PART_MESSAGES * 2 + 10)
    assert shown(chat) == list(range(PART_MESSAGES * 2 + 10))
    expect(earlier(chat)).to_be_hidden()


def test_a_person_who_does_not_scroll_presses_and_hears_what_came(open_long: OpenLong) -> None:
    chat = open_long(PART_MESSAGES + 3)
    announcements = chat.page.locator("#announcements")

    earlier(chat).focus()
    chat.page.keyboard.press("Enter")

    expect(announcements).to_have_text("3 earlier messages are shown.")
    expect(chat.page.locator("#messages-pane")).to_be_focused()
    assert shown(chat) == list(range(PART_MESSAGES + 3))


def test_while_there_is_more_the_focus_stays_on_the_button(open_long: OpenLong) -> None:
    chat = open_long(PART_MESSAGES * 2 + 10)

    earlier(chat).focus()
    chat.page.keyboard.press("Enter")

    expect(chat.page.locator("#announcements")).to_have_text(f"{PART_MESSAGES} earlier messages are shown.")
    expect(earlier(chat)).to_be_focused()


def test_a_reconnect_keeps_the_earlier_messages_that_are_there(
    open_long: OpenLong, server: ChatServer, forgive: Callable[[str], None]
) -> None:
    forgive(r"WebSocket connection|ERR_CONNECTION")
    chat = open_long(PART_MESSAGES + 20)
    earlier(chat).click()
    expect(chat.messages).to_have_count(PART_MESSAGES + 20)
    states = chat.remember_changes(chat.page.get_by_test_id("connection-status"), "data-state")

    server.kill()
    server.start()
    chat.reconnect()
    chat.wait_until(lambda: states().count("ready") >= 2, "it is connected again")
    chat.page.wait_for_function("document.querySelector('html').dataset.ready === 'true'")

    assert shown(chat) == list(range(PART_MESSAGES + 20))
    expect(earlier(chat)).to_be_hidden()


def test_a_long_conversation_goes_on_as_any_other(open_long: OpenLong, simulator: SimulatorControl) -> None:
    simulator.script(text="Message 201 is the answer.")
    chat = open_long(200)

    chat.ask("Message 200 is new.")

    assert shown(chat) == list(range(200 - PART_MESSAGES, 202))
    assert at_end(chat)


def test_another_version_far_above_is_fetched_and_comes_into_sight(
    open_long: OpenLong, simulator: SimulatorControl
) -> None:
    simulator.script(text="Message 1 told otherwise.")
    chat = open_long(PART_MESSAGES * 2 + 10)
    read_to_the_start(chat, count=PART_MESSAGES * 2 + 10)
    first = chat.questions.first
    first.get_by_role("button", name="Edit").click()
    first.get_by_role("textbox").fill("Message 0 asked otherwise")
    first.get_by_role("textbox").press("Enter")
    chat.wait_for_status("complete")
    expect(chat.messages).to_have_count(2)

    chat.page.get_by_role("button", name="Previous version").first.click()

    expect(chat.messages).to_have_count(PART_MESSAGES * 2 + 10)
    expect(chat.page.locator("#announcements")).to_have_text("Version 1 of 2")
    expect(chat.questions.first).to_be_in_viewport()
    assert shown(chat) == list(range(PART_MESSAGES * 2 + 10))


def test_a_long_conversation_is_printed_as_a_whole(open_long: OpenLong) -> None:
    chat = open_long(3 * PART_MESSAGES)
    chat.page.evaluate(COUNT_AS_PRINTED)

    chat.page.keyboard.press("Control+p")
    chat.wait_until(lambda: chat.page.evaluate("window.printed"), "it is printed")

    assert chat.page.evaluate("window.printed") == 3 * PART_MESSAGES
    assert shown(chat) == sorted(shown(chat))
