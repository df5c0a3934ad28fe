"""A reader that stops reading, or stops acknowledging, on the real server: it is let go and can come back."""

import asyncio

import pytest

from chatapp.protocol import CLOSE_TOO_SLOW
from chatapp.protocol.limits import WINDOW_BYTES
from tests.servers.chat_server import ChatServer
from tests.servers.tabs import LiveTab, open_tab

pytestmark = pytest.mark.soak
TEXT = "Somebody reads this, and somebody does not. " * (WINDOW_BYTES // 40)
"""Longer than the window, and less than the simulated model's longest reply."""
GONE_AFTER_SECONDS = 17.0


async def begin_long_reply(server: ChatServer, teller: LiveTab) -> str:
    """Gives the conversation's id; the text takes some seconds."""
    server.query("UPDATE chatapp_assistant SET max_output_tokens = 128000 RETURNING id")
    server.simulator.script(text=TEXT, tokens_per_second=30_000)
    return str((await teller.say_and_hear("Tell me all."))["conversation_id"])


async def test_who_reads_nothing_is_let_go_and_others_read_on(start_chat_server):
    server = start_chat_server()
    async with (
        open_tab(server) as teller,
        open_tab(server, max_queue=1) as sleeper,
    ):
        conversation_id = await begin_long_reply(server, teller)
        await sleeper.send("conversation.open", conversation_id=conversation_id)
        frames = await teller.all_until("reply.finished")
        await asyncio.sleep(GONE_AFTER_SECONDS)
        _, code = await sleeper.rest()
        await teller.send("ping")
        await teller.until("pong")

    assert code == CLOSE_TOO_SLOW
    assert "".join(frame["text"] for frame in frames if frame["type"] == "reply.delta") == TEXT


async def test_who_stops_acknowledging_is_held_let_go_and_resumes_where_it_was(start_chat_server):
    server = start_chat_server()
    async with open_tab(server) as reader:
        await begin_long_reply(server, reader)
        first = await reader.until("reply.delta")
        await reader.send("reply.seen", reply_id=first["reply_id"], seq=first["seq"])
        frames, code = await reader.rest()
    read = [first, *(frame for frame in frames if frame["type"] in ("reply.delta", "reply.finished"))]
    conversation_id = server.query("SELECT id FROM chatapp_conversation")[0][0]
    cursor = {"reply_id": first["reply_id"], "epoch": first["epoch"], "after_seq": read[-1]["seq"]}
    async with open_tab(server) as again:
        await again.send("conversation.open", conversation_id=str(conversation_id), cursor=cursor)
        state, *rest = await again.all_until("reply.finished")

    held_back = [frame for frame in read if frame["type"] == "reply.finished"]
    texts = [frame["text"] for frame in [*read, *rest] if frame["type"] == "reply.delta"]
    assert (code, held_back, state["recovered"]) == (CLOSE_TOO_SLOW, [], True)
    assert "".join(texts) == TEXT
