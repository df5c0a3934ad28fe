"""What one person says, another never sees: not as a page, not over the socket."""

from collections.abc import Callable

from playwright.sync_api import expect

from tests.browser.chat_page import ChatPage
from tests.browsers import TIMEOUT_MS
from tests.servers.chat_server import LiveUser, SimulatorControl

SECRET = "The spare key lies under the third flower pot"

OPEN_BY_SOCKET = """
async ([conversationId, client, patienceMs]) => {
  const socket = new WebSocket(new URL("/ws/chat/", location.href.replace(/^http/, "ws")))
  const frames = []
  await new Promise((done) => {
    setTimeout(done, patienceMs)
    socket.onmessage = ({ data }) => {
      const frame = JSON.parse(data)
      frames.push(frame)
      if (frame.type === "ready") {
        const about = { conversation_id: conversationId }
        socket.send(JSON.stringify({ type: "conversation.open", ...about }))
        socket.send(JSON.stringify({ type: "typing.started", ...about, chars: 1, attachment_ids: [] }))
        const message = { client_message_id: client, text: "Let me in", attachment_ids: [] }
        socket.send(JSON.stringify({ type: "message.send", ...about, ...message }))
      }
      // A pong follows what its ping found done: this one finds all that the third refusal waited for.
      if (frames.filter(({ type }) => type === "error").length === 3) socket.send(JSON.stringify({ type: "ping" }))
      if (frame.type === "pong") done()
    }
  })
  socket.close()
  return frames
}
"""


def test_another_persons_conversation_is_not_found_as_a_page(
    chat: ChatPage,
    open_chat: Callable[..., ChatPage],
    new_person: Callable[[], LiveUser],
    simulator: SimulatorControl,
    forgive: Callable[[str], None],
) -> None:
    simulator.script(text="Noted.")
    chat.ask(SECRET)
    stranger = open_chat(new_person())

    answer = stranger.page.goto(chat.page.url)

    assert answer is not None
    assert answer.status == 404
    assert SECRET not in stranger.page.content()
    expect(stranger.page.get_by_role("heading", name="There is nothing here")).to_be_visible()
    forgive("status of 404")


def test_another_persons_conversation_is_refused_over_the_socket(
    chat: ChatPage,
    open_chat: Callable[..., ChatPage],
    new_person: Callable[[], LiveUser],
    simulator: SimulatorControl,
) -> None:
    simulator.script(text="Noted.")
    chat.ask(SECRET)
    stranger = open_chat(new_person())
    client_message_id = "00000000-0000-4000-8000-000000000001"

    frames = stranger.page.evaluate(OPEN_BY_SOCKET, [chat.conversation_id, client_message_id, TIMEOUT_MS])

    refusals = [frame["code"] for frame in frames if frame["type"] == "error"]
    assert refusals == ["not_found"] * 3
    assert {frame["type"] for frame in frames} == {"ready", "error", "pong"}
    assert SECRET not in str(frames)
    expect(stranger.conversations).to_have_count(0)
