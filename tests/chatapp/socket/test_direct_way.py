"""Frames of a reply and their acks go past ASGI where the server can do that, and through it where it cannot."""

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from chatapp.process import open_sockets
from chatapp.protocol.direct import DIRECT
from tests.chatapp.sockets import Tab, cookie_of, reply_text, sign_in
from warmcache.background.database import in_database_thread

pytestmark = pytest.mark.django_db(transaction=True)
IN_THE_LOG = ("reply.block", "reply.delta", "reply.finished")
FAST = 5_000


class Server:
    """The end of a direct way at a server. Its messages arrive at the tab among those of ASGI, in their order."""

    def __init__(self, tab: Tab) -> None:
        self.take_now: Callable[[bytes], bool] | None = None
        self.sent: list[dict[str, Any]] = []
        self.refused = 0
        self.refuses_every = 0
        self._output = tab._communicator.output_queue

    def send_now(self, text: bytes) -> bool:
        count = len(self.sent) + self.refused + 1
        if self.refuses_every and count % self.refuses_every == 0:
            self.refused += 1
            return False
        self.sent.append(json.loads(text))
        self._output.put_nowait({"type": "websocket.send", "text": text.decode()})
        return True


@pytest.fixture
async def tab(ann) -> AsyncIterator[Tab]:
    found = Tab(cookie_of(await in_database_thread(sign_in, ann)))
    yield found
    await found.disconnect()


@pytest.fixture
async def server(tab) -> Server:
    made = Server(tab)
    tab._communicator.scope["extensions"] = {DIRECT: made}
    await tab.connect()
    return made


async def test_every_frame_of_a_log_takes_the_direct_way_while_nothing_has_to_wait(tab, server, assistant, simulator):
    simulator.script(tokens=50, tokens_per_second=FAST)

    await tab.say("A question", assistant_id=assistant.pk)
    await tab.until("reply.finished")

    assert server.sent == tab.of_type(*IN_THE_LOG)


@pytest.mark.parametrize("refuses_every", [1, 2, 3])
async def test_a_frame_that_has_to_wait_goes_through_asgi_and_keeps_its_place(
    tab, server, assistant, simulator, refuses_every
):
    simulator.script(text="One after the other, and none of them twice. " * 20, tokens_per_second=FAST)
    server.refuses_every = refuses_every

    await tab.say("A question", assistant_id=assistant.pk)
    finished = await tab.until("reply.finished")

    assert [frame["seq"] for frame in tab.of_type(*IN_THE_LOG)] == list(range(1, finished["seq"] + 1))
    assert reply_text(tab.frames) == "One after the other, and none of them twice. " * 20
    assert server.refused > 0


async def test_an_ack_is_taken_at_once_and_everything_else_is_left_to_asgi(tab, server, assistant, simulator):
    simulator.script(tokens=5, tokens_per_second=FAST)
    await tab.say("A question", assistant_id=assistant.pk)
    finished = await tab.until("reply.finished")
    seen = {"type": "reply.seen", "reply_id": finished["reply_id"], "seq": finished["seq"]}
    assert server.take_now is not None

    taken = [
        server.take_now(json.dumps(frame).encode())
        for frame in (seen, {**seen, "ttft_ms": 12}, {**seen, "seq": "no number"}, {"type": "ping"})
    ]

    assert taken == [True, False, False, False]
    assert [socket.window._acks for socket in open_sockets.listed()] == [True]
