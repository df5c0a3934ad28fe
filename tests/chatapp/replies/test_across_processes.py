"""Replies that one real process writes, read, stopped and ended in another: two servers, one Redis, one simulator."""

import asyncio
import contextlib
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest
import websockets

from tests.chatapp.held_replies import breath_held, hold_next_reply
from tests.chatapp.sockets import eventually
from tests.servers.chat_server import ChatServer
from tests.servers.redis_server import RedisServer
from tests.servers.tabs import LiveTab, delete_conversation, open_tab, shown_text

LONG_LEASE_SECONDS = 300
"""Nobody is given up, however busy the machine is."""

SHORT_LEASE_SECONDS = 15
"""For tests that wait for its end."""

REPLIES_AT_ONCE = 20
MOST_LOST_CHARACTERS = 2048
TOLD_SECONDS = 20
WORDS = " ".join(f"word-{n}" for n in range(60))
BLOCKS = [
    {"type": "thinking", "thinking": f"Let me see. {WORDS}"},
    {"type": "text", "text": f"I look it up: é🙂 {WORDS}"},
    {"type": "tool_use", "name": "look_up", "input": {"words": WORDS}},
]
IN_THE_TEXT_TOKENS = 200
"""Behind the thinking, and before the end of the text."""

BEGINNINGS = ("reply.started", "conversation.state")

Cluster = tuple[ChatServer, ChatServer]


@contextlib.contextmanager
def cluster(database: str, redis: RedisServer, *, lease_seconds: int) -> Iterator[Cluster]:
    environment = {"REPLY_LEASE_SECONDS": str(lease_seconds)}
    with ChatServer(database_url=database, redis_url=redis.url, environment=environment) as first:
        with ChatServer(database_url=database, redis_url=redis.url, environment=environment, beside=first) as second:
            yield first, second


@pytest.fixture(scope="module")
def two_servers(new_database: Callable[[], str], _redis: RedisServer) -> Iterator[Cluster]:
    with cluster(new_database(), _redis, lease_seconds=LONG_LEASE_SECONDS) as servers:
        yield servers


@pytest.fixture(scope="module")
def two_mortal_servers(new_database: Callable[[], str], _redis: RedisServer) -> Iterator[Cluster]:
    with cluster(new_database(), _redis, lease_seconds=SHORT_LEASE_SECONDS) as servers:
        yield servers


@pytest.fixture
def servers(two_servers: Cluster, redis_server: RedisServer) -> Cluster:
    two_servers[0].simulator.reset()
    return two_servers


@pytest.fixture
def mortal_servers(two_mortal_servers: Cluster, redis_server: RedisServer) -> Cluster:
    """Both serve, whatever the test before has done to them."""
    for server in two_mortal_servers:
        if server.process is None:
            server.start()
    two_mortal_servers[0].simulator.reset()
    return two_mortal_servers


async def begin_long_reply(tab: LiveTab) -> dict[str, Any]:
    """One that goes on for five minutes, unless something ends it."""
    tab.server.simulator.script(tokens=30_000, tokens_per_second=100)
    return await tab.begin_reply()


async def is_hung_up(server: ChatServer) -> bool:
    exchanges = await asyncio.to_thread(server.simulator.requests)
    return bool(exchanges[-1]["hung_up"])


async def test_a_tab_on_another_process_sees_a_reply_live_and_whole(servers: Cluster) -> None:
    servers[0].simulator.script(blocks=BLOCKS, tokens_per_second=400)
    async with open_tab(servers[0]) as here, open_tab(servers[1]) as there:
        await here.say("Hello", assistant_id=servers[0].assistants["warmcache-guide"])
        created = await here.until("message.created")
        first = await here.until("reply.finished")
        await there.open(created["conversation_id"])

        servers[0].simulator.script(blocks=BLOCKS, tokens_per_second=400)
        await here.say("And now, for both?", conversation_id=created["conversation_id"])
        finished = await here.until("reply.finished")
        await there.until("reply.finished")

    assert first["reply_id"] != finished["reply_id"]
    assert text_by_block(there, finished) == text_by_block(here, finished)
    live, whole = (tab.of_reply(finished["reply_id"]) for tab in (there, here))
    assert live == whole[-len(live) :]
    assert announced(there, finished) == announced(here, finished)


def text_by_block(tab: LiveTab, finished: dict[str, Any]) -> dict[int, str]:
    """What the tab shows of a reply: from its frames or, where events had to be made up for, from a state and what
    follows it. A machine that is busy for long enough makes any process miss an event of another."""
    begun = announced_by(tab, finished)
    texts: dict[int, str] = {block["block"]: block["text"] for block in begun.get("blocks", ())}
    for frame in tab.of_reply(finished["reply_id"]):
        if frame["type"] == "reply.delta" and frame["seq"] > begun.get("seq", 0):
            texts[frame["block"]] = texts.get(frame["block"], "") + frame["text"]
    return texts


def announced(tab: LiveTab, finished: dict[str, Any]) -> dict[str, Any]:
    begun = announced_by(tab, finished)
    return {name: begun[name] for name in ("reply_id", "parent_id", "epoch", "model", "warmth")}


def announced_by(tab: LiveTab, finished: dict[str, Any]) -> dict[str, Any]:
    """The newest frame, or part of one, with which the tab began to show the reply."""
    begun = [f["reply"] if f["type"] == "conversation.state" else f for f in tab.frames if f["type"] in BEGINNINGS]
    return [each for each in begun if each and each["reply_id"] == finished["reply_id"]][-1]


async def test_a_message_sent_to_another_process_waits_for_the_reply_and_is_sent_once(servers: Cluster) -> None:
    simulator = servers[0].simulator
    hold_next_reply(simulator)
    async with open_tab(servers[0]) as here, open_tab(servers[1]) as there:
        started = await here.begin_reply()
        with breath_held(simulator):
            await there.open(started["conversation_id"])
            for text in ("Second", "Third"):
                await there.say(text, conversation_id=started["conversation_id"])
                await there.until("message.queued")

        for tab in (here, there):
            while len([f for f in tab.frames if f["type"] == "reply.finished"]) < 3:
                await tab.read()
        async with open_tab(servers[1]) as later:
            state = await later.open(started["conversation_id"])

    assert [m["text"] for m in state["messages"] if m["role"] == "user"] == ["A question", "Second", "Third"]
    assert state["conversation"]["queue"] == []


async def test_behind_a_reply_whose_process_was_killed_a_message_is_offered_and_not_sent(
    mortal_servers: Cluster,
) -> None:
    victim, survivor = mortal_servers
    async with open_tab(victim) as here, open_tab(survivor) as there:
        started = await begin_long_reply(here)
        await there.open(started["conversation_id"])
        await there.say("Second", conversation_id=started["conversation_id"])
        await there.until("message.queued")

        await asyncio.to_thread(victim.kill)
        await there.until("reply.finished", status="interrupted")
        while not (state := await there.open(started["conversation_id"]))["conversation"]["queue"][0]["is_held"]:
            pass

    assert [(q["text"], q["is_held"]) for q in state["conversation"]["queue"]] == [("Second", True)]
    assert len(state["messages"]) == 2


async def test_at_every_frame_boundary_another_process_gives_exactly_the_rest(servers: Cluster) -> None:
    servers[0].simulator.script(blocks=BLOCKS, tokens_per_second=200)
    async with open_tab(servers[0]) as here:
        await here.say("Hello", assistant_id=servers[0].assistants["warmcache-guide"])
        started = await here.until("reply.started")
        cursor_at = {"reply_id": started["reply_id"], "epoch": started["epoch"]}
        async with open_tab(servers[1]) as there:
            in_the_middle = await here.until("reply.delta")
            for _ in range(5):  # Redis has what came before, too
                await here.until("reply.delta")
            state = await there.open(started["conversation_id"], {**cursor_at, "after_seq": in_the_middle["seq"]})
            finished = await here.until("reply.finished")
            await there.until("reply.finished")
            of_middle = there.of_reply(started["reply_id"])
        whole = here.of_reply(started["reply_id"])

        rests = []
        async with open_tab(servers[1]) as later:
            for seq in range(min(finished["seq"], 90)):
                later.frames.clear()
                again = await later.open(started["conversation_id"], {**cursor_at, "after_seq": seq})
                await later.until("reply.finished")
                rests.append((again["recovered"], later.of_reply(started["reply_id"])))

    assert [frame["seq"] for frame in whole] == list(range(1, finished["seq"] + 1))
    assert state["recovered"] is True
    assert of_middle == whole[in_the_middle["seq"] :]
    assert rests == [(True, whole[seq:]) for seq in range(len(rests))]


async def test_a_tab_that_comes_to_another_process_without_a_cursor_ends_with_the_same_content(
    servers: Cluster,
) -> None:
    servers[0].simulator.script(blocks=BLOCKS, tokens_per_second=400)
    servers[0].simulator.fault(kind="stall", where="after_first_token", match="reply", after_tokens=IN_THE_TEXT_TOKENS)
    async with open_tab(servers[0]) as here, open_tab(servers[1]) as there:
        await here.say("Hello", assistant_id=servers[0].assistants["warmcache-guide"])
        started = await here.until("reply.started")
        await here.until("reply.delta", kind="text")
        state = await there.open(started["conversation_id"])
        servers[0].simulator.release()
        finished = await here.until("reply.finished")
        await there.until("reply.finished")

    whole: dict[int, str] = {}
    for frame in here.of_reply(started["reply_id"]):
        if frame["type"] == "reply.delta":
            whole[frame["block"]] = whole.get(frame["block"], "") + frame["text"]
    assert (state["recovered"], there.blocks_of(finished)) == (False, whole)


async def test_a_reply_is_stopped_from_another_process(servers: Cluster) -> None:
    async with open_tab(servers[0]) as here, open_tab(servers[1]) as there:
        started = await begin_long_reply(here)
        await there.open(started["conversation_id"])

        await there.send("reply.stop", reply_id=started["reply_id"])
        ends = [await tab.until("reply.finished") for tab in (here, there)]

    assert ends[0] == ends[1]
    assert ends[0]["status"] == "stopped"
    await eventually(lambda: is_hung_up(servers[0]))
    (row,) = servers[0].query(
        "SELECT status, text FROM chatapp_message WHERE role = 'assistant' AND status = 'stopped'"
    )
    assert row[1] == shown_text(here.of_reply(started["reply_id"]))


async def test_a_chat_that_is_deleted_in_another_process_hangs_up(servers: Cluster) -> None:
    async with open_tab(servers[0]) as here:
        started = await begin_long_reply(here)
    # Nobody of the chat's user is left in the process that writes.

    status = await asyncio.to_thread(delete_conversation, servers[1], started["conversation_id"])

    assert status < 400
    await eventually(lambda: is_hung_up(servers[0]))


async def test_a_reply_of_a_person_who_is_deactivated_is_stopped_where_none_of_their_tabs_is(servers: Cluster) -> None:
    async with open_tab(servers[0], "bob") as here:
        started = await begin_long_reply(here)
    # As another process does it; nobody tells of it.

    servers[1].query("UPDATE chatapp_user SET is_active = ? WHERE username = 'bob' RETURNING id", False)

    try:
        await eventually(lambda: is_hung_up(servers[0]))
    finally:
        servers[1].query("UPDATE chatapp_user SET is_active = ? WHERE username = 'bob' RETURNING id", True)
    async with open_tab(servers[1], "bob") as later:
        while (state := await later.open(started["conversation_id"]))["reply"] is not None:
            pass
    assert state["messages"][-1]["status"] == "stopped"


async def test_while_redis_restarts_local_readers_read_on_and_the_others_miss_nothing(
    servers: Cluster, redis_server: RedisServer
) -> None:
    async with open_tab(servers[0]) as here, open_tab(servers[1]) as there:
        started = await begin_long_reply(here)
        await there.open(started["conversation_id"], {"reply_id": started["reply_id"], "epoch": "", "after_seq": 0})
        await there.until("reply.delta")

        redis_server.kill()
        try:
            for _ in range(10):
                await here.until("reply.delta")
        finally:
            redis_server.start()
        await here.send("reply.stop", reply_id=started["reply_id"])
        finished = await here.until("reply.finished")
        end_there = await there.until("reply.finished")

    whole = here.of_reply(started["reply_id"])
    assert finished["status"] == end_there["status"] == "stopped"
    assert [frame["seq"] for frame in whole] == list(range(1, finished["seq"] + 1))
    assert "".join(there.blocks_of(finished).values()) == shown_text(whole)


async def test_a_process_that_stood_still_for_too_long_says_nothing_more_of_a_reply_that_others_have_ended(
    mortal_servers: Cluster,
) -> None:
    stands_still, survivor = mortal_servers
    async with open_tab(stands_still) as here, open_tab(survivor) as there:
        started = await begin_long_reply(here)
        await there.open(started["conversation_id"])
        stands_still.send_signal(signal.SIGSTOP)
        try:
            end_there = await there.until("reply.finished")
        finally:
            stands_still.send_signal(signal.SIGCONT)
        end_here = await here.until("reply.finished")
        state = await here.open(started["conversation_id"])
        await eventually(lambda: is_hung_up(survivor))

    assert (end_there["status"], end_there["error"]["code"]) == ("interrupted", "server_restarted")
    assert (end_here["status"], end_here["error"]) == (end_there["status"], end_there["error"])
    message = state["messages"][-1]
    assert (message["id"], message["status"]) == (started["reply_id"], "interrupted")
    assert message["text"].endswith(shown_text(there.of_reply(started["reply_id"])))


async def test_when_a_process_is_killed_its_replies_end_in_another_and_nobody_else_s_do(
    mortal_servers: Cluster,
) -> None:
    victim, survivor = mortal_servers
    async with AsyncExitStack() as stack:
        doomed = await begin_replies(stack, victim)
        watcher, back = [await stack.enter_async_context(open_tab(survivor)) for _ in range(2)]
        untouched = await stack.enter_async_context(open_tab(survivor, "bob"))
        own = await begin_long_reply(untouched)
        watched, others = doomed[:5], doomed[5:]
        for reply in watched:
            await watcher.open(reply.started["conversation_id"])

        await kill(victim, doomed)
        for reply in others:
            await assert_told_of_end(back, reply)
        for reply in watched:
            await assert_told_of_end(watcher, reply, is_open=True)
        await untouched.until("reply.delta", reply_id=own["reply_id"])
        await untouched.send("reply.stop", reply_id=own["reply_id"])
        end = await untouched.until("reply.finished")

    assert end["status"] == "stopped"
    for reply in doomed:
        assert_nothing_but_the_last_moment_is_lost(survivor, reply)


@dataclass(frozen=True, slots=True, kw_only=True)
class Doomed:
    """A reply of a process that is about to be killed, and the tab that reads it there."""

    started: dict[str, Any]
    tab: LiveTab

    @property
    def seen(self) -> list[dict[str, Any]]:
        return self.tab.of_reply(self.started["reply_id"])


async def begin_replies(stack: AsyncExitStack, server: ChatServer) -> list[Doomed]:
    server.simulator.script(tokens=6000, tokens_per_second=50, times=REPLIES_AT_ONCE)
    tabs = [await stack.enter_async_context(open_tab(server)) for _ in range(4)]
    return [
        Doomed(started=await tabs[number % len(tabs)].begin_reply(), tab=tabs[number % len(tabs)])
        for number in range(REPLIES_AT_ONCE)
    ]


async def kill(server: ChatServer, doomed: list[Doomed]) -> None:
    """SIGKILL; the tabs read what had reached them."""
    reading = [asyncio.create_task(read_to_the_close(tab)) for tab in {id(r.tab): r.tab for r in doomed}.values()]
    await asyncio.to_thread(server.kill)
    await asyncio.gather(*reading)


async def read_to_the_close(tab: LiveTab) -> None:
    with contextlib.suppress(websockets.ConnectionClosed):
        while True:
            await tab.read()


async def assert_told_of_end(tab: LiveTab, reply: Doomed, *, is_open: bool = False) -> None:
    """Either the state says it, to a tab that comes late, or a frame does."""
    reply_id = reply.started["reply_id"]
    if not is_open:
        cursor = {"reply_id": reply_id, "epoch": reply.started["epoch"], "after_seq": reply.seen[-1]["seq"]}
        state = await tab.open(reply.started["conversation_id"], cursor)
        if state["messages"][-1]["status"] == "interrupted":
            return
    told = [f for f in tab.frames if f["type"] == "reply.finished" and f["reply_id"] == reply_id]
    end = told[0] if told else await tab.until("reply.finished", reply_id=reply_id)
    assert (end["status"], end["error"]["code"]) == ("interrupted", "server_restarted")


def assert_nothing_but_the_last_moment_is_lost(server: ChatServer, reply: Doomed) -> None:
    query = "SELECT status, error_code, text FROM chatapp_message WHERE id = ?"
    reply_id = UUID(reply.started["reply_id"])
    is_sqlite = server.database_url.startswith("sqlite")
    ((status, error_code, stored),) = server.query(query, reply_id.hex if is_sqlite else reply_id)
    shown = shown_text(reply.seen)
    assert (status, error_code) == ("interrupted", "server_restarted")
    assert stored.startswith(shown) or shown.startswith(stored)
    assert len(shown) - len(stored) <= MOST_LOST_CHARACTERS


@pytest.mark.soak
async def test_with_the_usual_lease_everybody_is_told_of_a_killed_process_within_20_seconds(
    new_database: Callable[[], str], redis_server: RedisServer
) -> None:
    database = new_database()
    async with AsyncExitStack() as stack:
        victim = stack.enter_context(ChatServer(database_url=database, redis_url=redis_server.url))
        survivor = stack.enter_context(ChatServer(database_url=database, redis_url=redis_server.url, beside=victim))
        doomed = await begin_replies(stack, victim)
        watchers = [await stack.enter_async_context(open_tab(survivor)) for _ in range(2)]
        for number, reply in enumerate(doomed):
            await watchers[number % 2].open(reply.started["conversation_id"])

        await kill(victim, doomed)
        killed_at = time.monotonic()
        for number, reply in enumerate(doomed):
            await assert_told_of_end(watchers[number % 2], reply, is_open=True)
        seconds = time.monotonic() - killed_at

    assert seconds <= TOLD_SECONDS
    for reply in doomed:
        assert_nothing_but_the_last_moment_is_lost(survivor, reply)
