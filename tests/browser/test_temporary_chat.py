"""A temporary chat: the page says what it is, lists it nowhere, and deletes it when the person leaves it."""

from playwright.sync_api import expect

from tests.browser.chat_page import ChatPage
from tests.servers.chat_server import ChatServer, SimulatorControl


def test_a_temporary_chat_says_so_survives_a_reload_and_is_deleted_when_it_is_left(
    chat: ChatPage, simulator: SimulatorControl, server: ChatServer
) -> None:
    simulator.script(text="Yes.")
    line = chat.page.get_by_test_id("temporary-line")
    switch = chat.page.get_by_test_id("temporary-switch")
    expect(line).to_be_hidden()

    switch.check()
    chat.ask()
    expect(line).to_be_visible()
    expect(chat.conversations).to_have_count(0)
    conversation_id = chat.conversation_id.replace("-", "")
    chat.reload()
    expect(line).to_be_visible()
    expect(chat.replies).to_have_count(1)
    expect(chat.conversations).to_have_count(0)
    chat.page.get_by_role("button", name="Delete now").click()

    expect(line).to_be_hidden()
    expect(chat.messages).to_have_count(0)
    expect(chat.page).to_have_url(server.url + "/")
    expect(switch).not_to_be_checked()
    left = "SELECT count(*) FROM chatapp_conversation WHERE replace(id, '-', '') = ? AND deleted_at IS NULL"
    chat.wait_until(lambda: server.query(left, conversation_id) == [(0,)], "the chat is deleted")
