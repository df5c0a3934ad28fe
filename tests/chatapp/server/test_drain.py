"""The end of a server that many people use: a hundred sockets, twenty replies in the middle of their text."""

import asyncio
import signal
from contextlib import AsyncExitStack

from chatapp.protocol import CLOSE_RESTARTING
from tests.servers.tabs import open_tab

SOCKETS = 100
REPLIES = 20
TEXT = "What was begun is brought to its end. " * 40
HELD = {"kind": "stall", "where": "after_first_token", "match": "reply", "after_tokens": 64}
"""Until it is released."""


async def test_every_reply_ends_whole_and_every_socket_hears_where_to_go(start_chat_server):
    server = start_chat_server()
    server.simulator.script(text=TEXT, times=REPLIES)
    server.simulator.fault(**HELD, times=REPLIES)
    async with AsyncExitStack() as stack:
        readers = [await stack.enter_async_context(open_tab(server, "ann")) for _ in range(REPLIES)]
        idlers = [await stack.enter_async_context(open_tab(server, "bob")) for _ in range(SOCKETS - REPLIES)]
        listening = [asyncio.create_task(idler.rest()) for idler in idlers]
        for reader in readers:
            await reader.say("Begin.")
        firsts = await asyncio.gather(*(reader.until("reply.delta") for reader in readers))

        server.send_signal(signal.SIGTERM)
        await asyncio.wait(listening, return_when=asyncio.FIRST_COMPLETED)
        server.simulator.release()
        ends = [*await asyncio.gather(*(reader.rest() for reader in readers)), *await asyncio.gather(*listening)]
    exit_code = await asyncio.to_thread(server.stop)

    rows = server.query("SELECT status, text FROM chatapp_message WHERE role = 'assistant'")
    assert exit_code == 0
    assert [code for _, code in ends] == [CLOSE_RESTARTING] * SOCKETS
    assert rows == [("complete", TEXT)] * REPLIES
    for first, (frames, _) in zip(firsts, ends, strict=False):
        deltas = [first, *(frame for frame in frames if frame["type"] == "reply.delta")]
        assert "".join(delta["text"] for delta in deltas) == TEXT
        assert [frame["status"] for frame in frames if frame["type"] == "reply.finished"] == ["complete"]
