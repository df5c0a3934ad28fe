"""Reloads, second tabs, cut wires and dead servers: nothing said is lost, and nothing is there twice."""

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import expect

from tests.browser.chat_page import QUESTION, ChatPage
from tests.browser.held_replies import HoldReply, begin_and_hang
from tests.servers.chat_server import ChatServer, LiveUser, SimulatorControl
from tests.servers.fault_proxy import FaultProxy

SENTENCES = [f"Sentence {number} names *ship {number}*, 世界 and ünïcode." for number in range(40)]
TEXT = "\n\n".join(SENTENCES)
SHOWN = TEXT.replace("*", "")
STORED_BEGINNINGS = """
    SELECT count(*) FROM chatapp_message WHERE status = 'streaming' AND text LIKE 'Sentence 0 %Sentence 2 %'
"""
# The next load of the page takes itself for an older release.
ONCE_OLDER = """
if (location.protocol === "http:" && sessionStorage.getItem("once older") === null) {
  sessionStorage.setItem("once older", "true")
  const parse = JSON.parse
  JSON.parse = (text) => {
    const value = parse(text)
    return value?.urls ? { ...value, release: "1.0123456789ab" } : value
  }
}
"""
CONNECTION_LOST = r"WebSocket connection|ERR_CONNECTION"


@pytest.fixture
def wire(server: ChatServer) -> Iterator[FaultProxy]:
    with FaultProxy(server.port) as wire:
        yield wire


@pytest.fixture
def wired_chat(
    wire: FaultProxy,
    open_page: Callable[..., object],
    person: LiveUser,
    small_talk: int,
) -> ChatPage:
    """A chat whose connection runs over `wire`."""
    chat = ChatPage(open_page(wire.url, user=person))  # type: ignore[arg-type]
    chat.wait_until_ready()
    chat.choose(small_talk)
    return chat


def test_a_reload_in_the_middle_of_a_reply_shows_the_same_words(chat: ChatPage, held_reply: HoldReply) -> None:
    with held_reply(TEXT):
        chat.send()
        chat.wait_for_words()
        chat.reload()
        expect(chat.reply).to_have_attribute("data-status", "streaming")
    chat.wait_for_status("complete")

    assert paragraphs(chat) == SHOWN.split("\n\n")
    expect(chat.messages).to_have_count(2)


def test_a_second_tab_opened_in_the_middle_of_a_reply_shows_the_same_words(
    chat: ChatPage, held_reply: HoldReply, second_tab: Callable[[ChatPage], ChatPage]
) -> None:
    with held_reply(TEXT):
        chat.send()
        chat.wait_for_words()
        second = second_tab(chat)
        expect(second.reply).to_have_attribute("data-status", "streaming")
    for tab in (chat, second):
        tab.wait_for_status("complete")

    assert paragraphs(chat) == paragraphs(second) == SHOWN.split("\n\n")


def test_a_wire_cut_in_the_middle_of_a_reply_costs_no_word_and_doubles_none(
    wired_chat: ChatPage,
    wire: FaultProxy,
    held_reply: HoldReply,
    forgive: Callable[[str], None],
) -> None:
    forgive(CONNECTION_LOST)
    states = wired_chat.remember_changes(wired_chat.page.get_by_test_id("connection-status"), "data-state")

    with held_reply(TEXT):
        wired_chat.send()
        wired_chat.wait_for_words()
        wire.cut()
        wired_chat.wait_until(lambda: states().count("ready") == 2, "it is connected again")
        expect(wired_chat.reply).to_have_attribute("data-status", "streaming")
    # The rest is on its way just now.
    wire.cut()
    wired_chat.wait_until(lambda: states().count("ready") == 3, "it is connected a third time")
    wired_chat.wait_for_status("complete")

    assert paragraphs(wired_chat) == SHOWN.split("\n\n")
    expect(wired_chat.messages).to_have_count(2)
    assert "waiting" in states()


def test_a_lost_connection_leaves_an_editor_as_it_is(
    wired_chat: ChatPage, wire: FaultProxy, forgive: Callable[[str], None]
) -> None:
    forgive(CONNECTION_LOST)
    wired_chat.ask()
    wired_chat.questions.get_by_role("button", name="Edit").click()
    box = wired_chat.page.get_by_test_id("message-editor").get_by_role("textbox")
    box.fill("Half a thought")
    box.evaluate("(box) => { box.wasHere = true; box.setSelectionRange(2, 2) }")
    states = wired_chat.remember_changes(wired_chat.page.get_by_test_id("connection-status"), "data-state")

    wire.cut()
    wired_chat.wait_until(lambda: states().count("ready") >= 2, "it is connected again")
    wired_chat.ask("And now?")

    assert box.evaluate("(box) => [box.wasHere, box.selectionStart, box.value]") == [True, 2, "Half a thought"]


def test_a_message_sent_while_the_server_is_down_arrives_once_when_it_is_back(
    chat: ChatPage, server: ChatServer, simulator: SimulatorControl, forgive: Callable[[str], None]
) -> None:
    forgive(CONNECTION_LOST)
    simulator.script(text="Here I am again.")
    text = "Sent into the dark"
    server.kill()

    chat.send(text)
    expect(chat.questions).to_contain_text("Sending…")
    server.start()
    chat.reconnect()
    chat.wait_for_status("complete")

    assert chat.texts() == [text, "Here I am again."]
    assert server.query("SELECT count(*) FROM chatapp_message WHERE text = ?", text) == [(1,)]


def test_a_reply_whose_server_died_says_so_and_keeps_its_beginning(
    chat: ChatPage, server: ChatServer, simulator: SimulatorControl, forgive: Callable[[str], None]
) -> None:
    forgive(CONNECTION_LOST)
    begin_and_hang(simulator, TEXT)
    chat.send()
    chat.wait_for_words()
    chat.wait_until(lambda: server.query(STORED_BEGINNINGS) == [(1,)], "what has arrived is stored")

    server.kill()
    server.start()
    chat.reconnect()
    chat.wait_for_status("interrupted")

    *kept, last = paragraphs(chat)
    assert kept == SHOWN.split("\n\n")[: len(kept)]
    assert TEXT.split("\n\n")[len(kept)].replace("*", "").startswith(last.replace("*", ""))
    assert kept
    expect(chat.again).to_be_visible()


def test_a_draft_survives_a_reload_and_belongs_to_its_conversation(chat: ChatPage, simulator: SimulatorControl) -> None:
    simulator.script(text="Yes.")
    chat.ask()
    chat.type("Not sent yet")

    chat.reload()
    expect(chat.box).to_have_value("Not sent yet")
    chat.page.get_by_role("link", name="New chat").click()

    expect(chat.box).to_have_value("")


def test_signing_out_in_another_tab_leads_here_to_the_sign_in_page_and_keeps_the_draft(
    open_chat: Callable[..., ChatPage], server: ChatServer, second_tab: Callable[[ChatPage], ChatPage]
) -> None:
    ann = server.users["ann"]
    chat = open_chat(ann)
    chat.type("Half a thou")

    second_tab(chat).page.get_by_role("button", name="Sign out").click()
    chat.page.wait_for_url(re.compile(r"/accounts/login/"))
    chat.page.get_by_label("Username").fill(ann.username)
    chat.page.get_by_label("Password").fill(ann.password)
    chat.page.get_by_role("button", name="Sign in").click()

    expect(chat.box).to_have_value("Half a thou")


def test_words_typed_while_the_wire_is_cut_are_kept_and_the_page_says_that_it_reconnects(
    wired_chat: ChatPage, wire: FaultProxy, forgive: Callable[[str], None]
) -> None:
    forgive(CONNECTION_LOST)
    status = wired_chat.page.get_by_test_id("connection-status")

    wire.cut(stay_cut=True)
    expect(status).to_contain_text("Reconnecting")
    wired_chat.type(QUESTION)
    wire.mend()
    wired_chat.reconnect()
    expect(status).to_be_hidden()

    expect(wired_chat.box).to_have_value(QUESTION)


def paragraphs(chat: ChatPage) -> list[str]:
    return chat.reply_body.locator("p").all_inner_texts()


def test_a_newer_version_is_offered_and_the_draft_outlives_the_reload(chat: ChatPage) -> None:
    offer = chat.page.get_by_test_id("new-version")
    expect(offer).to_be_hidden()
    chat.page.add_init_script(ONCE_OLDER)

    chat.reload()
    chat.type("Half a thought")
    expect(offer).to_be_visible()
    offer.get_by_role("button", name="Reload").click()

    # The new page has the draft and no offer, even after its socket has told the release.
    expect(offer).to_be_hidden()
    chat.wait_until_ready()
    expect(chat.box).to_have_value("Half a thought")
    expect(offer).to_be_hidden()
