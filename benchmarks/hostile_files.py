"""What somebody can cost with files, and what it costs to delete a person who has a great many chats."""

import asyncio
import http.client
import json
import sqlite3
import time
from collections import Counter
from contextlib import AsyncExitStack
from typing import Any
from uuid import uuid4

from benchmarks.hostile_figures import figures, told
from benchmarks.sockets import percentile
from tests.hostile_files import swelling_pdf
from tests.servers.chat_server import ChatServer
from tests.servers.tabs import LiveTab, open_tab

EMOJI_FILES = 20
EMOJI = 400_000
EDITS = 5
PDF_FILES = 8
CHATS = 10_000
LETTERS = (10_000, 2_000_000)
BOUNDARY = "a-line-between-parts"
DELETION_SECONDS = 300.0
"""At most; what is left then is told."""


async def emoji(server: ChatServer) -> None:
    """Large files of four-byte characters, a message with all of them, one with what fits, and edits of that."""
    data = "\U0001f600".encode() * EMOJI
    async with AsyncExitStack() as stack:
        tab = await stack.enter_async_context(open_tab(server))
        found = await stack.enter_async_context(figures(server))
        outcomes, ids = Counter[str](), []
        for number in range(EMOJI_FILES):
            status, answer = await asyncio.to_thread(upload, server, f"{number}.txt", data)
            outcomes[f"files answered {status}"] += 1
            if status == http.client.CREATED:
                ids.append(answer["id"])
        outcomes[f"message with all: {await _say(tab, attachment_ids=ids)}"] += 1
        few = ids[:2]
        created = await _say_and_hear(tab, attachment_ids=few)
        outcomes[f"message with {len(few)}: {created['type']}"] += 1
        for _ in range(EDITS):
            place = {"conversation_id": created["conversation_id"], "edit_of": created["message_id"]}
            outcomes[f"edits: {await _say(tab, **place)}"] += 1  # they keep the files
    told("emoji", f"{EMOJI_FILES} files of {EMOJI:,} emoji, {EDITS} edits of a message", outcomes, found)


async def _say(tab: LiveTab, **place: Any) -> str:
    frame = await _say_and_hear(tab, **place)
    return str(frame.get("code", frame["type"]))


async def _say_and_hear(tab: LiveTab, **place: Any) -> dict[str, Any]:
    """The answer to a message, and the end of the reply if there is one."""
    client_message_id = await tab.say("What is in it?", **place)
    while True:
        frame = await tab.read()
        if frame["type"] == "error":
            return frame
        if frame.get("client_message_id") == client_message_id:
            if frame["type"] == "message.created":
                await tab.until("reply.finished")
            return frame


async def pdfs(server: ChatServer) -> None:
    """Small files whose fonts make 120 emoji of each letter, several at once."""
    files = [swelling_pdf(letters) for letters in LETTERS]
    async with figures(server) as found:
        sent = (asyncio.to_thread(upload, server, "small.pdf", files[n % len(files)]) for n in range(PDF_FILES))
        outcomes = Counter(f"answered {status}" for status, _ in await asyncio.gather(*sent))
    sizes = " and ".join(f"{len(file) / 1024:.1f}" for file in files)
    told("pdf", f"{PDF_FILES} files of {sizes} kB at once", outcomes, found)


def upload(server: ChatServer, name: str, data: bytes) -> tuple[int, dict[str, Any]]:
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'
    body = head.encode() + data + f"\r\n--{BOUNDARY}--\r\n".encode()
    kind = f"multipart/form-data; boundary={BOUNDARY}"
    status, answer = post(server, "/attachments/", body, content_type=kind)
    try:
        return status, json.loads(answer)
    except ValueError:
        return status, {}


def post(
    server: ChatServer,
    path: str,
    body: bytes = b"",
    *,
    content_type: str = "application/x-www-form-urlencoded",
    user: str = "ann",
) -> tuple[int, bytes]:
    """With the page's own CSRF token, as anybody can read it there."""
    client = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)
    token = "a" * 32
    headers = {
        "Cookie": f"{server.users[user].cookie}; csrftoken={token}",
        "X-CSRFToken": token,
        "Content-Type": content_type,
    }
    try:
        client.request("POST", path, body=body, headers=headers)
        answer = client.getresponse()
        return answer.status, answer.read()
    finally:
        client.close()


async def deletion(server: ChatServer) -> None:
    """A superuser deletes a person with many chats while somebody else writes."""
    async with open_tab(server) as tab:
        created = await tab.say_and_hear("The first of many.")
        await tab.until("reply.finished")
    server.query("DELETE FROM chatapp_usageaccount RETURNING name")
    await asyncio.to_thread(_multiply, server, str(created["conversation_id"]).replace("-", ""))
    server.query("UPDATE chatapp_user SET is_staff = 1, is_superuser = 1 WHERE username = 'root' RETURNING id")
    ann = server.users["ann"].id
    acks: list[float] = []
    async with AsyncExitStack() as stack:
        other = await stack.enter_async_context(open_tab(server, "bob"))
        found = await stack.enter_async_context(figures(server))
        writing = asyncio.create_task(_write(other, acks))
        began = time.monotonic()
        path = f"/admin/chatapp/user/{ann}/delete/"
        status, _ = await asyncio.to_thread(post, server, path, b"post=yes", user="root")
        answered = time.monotonic() - began
        while (left := _chats_of(server, ann)) and time.monotonic() - began < DELETION_SECONDS:  # noqa: ASYNC110 - no event tells it
            await asyncio.sleep(0.5)
        writing.cancel()
        await asyncio.wait({writing})
    outcomes = {f"request, answered {status} in {answered * 1000:.0f} ms": 1, "chats left": left}
    told("deletion", f"a person with {CHATS:,} chats", outcomes, found)
    print(
        f"  meanwhile {len(acks)} messages of another person stored in p50 {percentile(acks, 50):.0f}, "
        f"p99 {percentile(acks, 99):.0f} ms",
        flush=True,
    )


async def _write(tab: LiveTab, acks: list[float]) -> None:
    """A message each two seconds: how long until it is stored."""
    while True:
        began = time.monotonic()
        await tab.say_and_hear("And meanwhile?")
        acks.append(time.monotonic() - began)
        await tab.until("reply.finished")
        await asyncio.sleep(2)


def _chats_of(server: ChatServer, user_id: int) -> int:
    [(count,)] = server.query("SELECT count(*) FROM chatapp_conversation WHERE user_id = ?", user_id)
    return int(count)


def _multiply(server: ChatServer, conversation_id: str) -> None:
    """Copies a conversation of one question and one reply until there are enough."""
    with sqlite3.connect(server.database_url.removeprefix("sqlite:///"), timeout=60) as connection:
        connection.row_factory = sqlite3.Row
        conversation = dict(_one(connection, "chatapp_conversation", "id", conversation_id))
        [question, reply] = [
            dict(row)
            for row in connection.execute(
                "SELECT * FROM chatapp_message WHERE conversation_id = ? ORDER BY created_at", [conversation_id]
            )
        ]
        for _ in range(CHATS - 1):
            chat, asked, answered = uuid4().hex, uuid4().hex, uuid4().hex
            _insert(connection, "chatapp_conversation", {**conversation, "id": chat, "branch_id": None})
            own = {"conversation_id": chat, "client_message_id": uuid4().hex}
            _insert(connection, "chatapp_message", {**question, **own, "id": asked})
            _insert(
                connection, "chatapp_message", {**reply, "conversation_id": chat, "id": answered, "parent_id": asked}
            )


def _one(connection: sqlite3.Connection, table: str, column: str, value: str) -> sqlite3.Row:
    row: sqlite3.Row = connection.execute(f"SELECT * FROM {table} WHERE {column} = ?", [value]).fetchone()  # noqa: S608
    return row


def _insert(connection: sqlite3.Connection, table: str, row: dict[str, Any]) -> None:
    marks = ", ".join(["?"] * len(row))
    connection.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", list(row.values()))  # noqa: S608
