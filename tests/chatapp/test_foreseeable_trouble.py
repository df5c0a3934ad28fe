"""Trouble that is bound to come leaves a sentence in the log and no traceback, and costs a person nothing lasting."""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import pytest

from chatapp.models import User
from tests.chatapp.sockets import eventually
from tests.factories import make_conversation
from tests.servers.chat_server import ChatServer
from tests.servers.fault_proxy import FaultProxy
from tests.servers.postgres_server import PostgresServer
from tests.servers.tabs import open_tab
from warmcache.background.database import in_database_thread

TRIED_AGAIN = "The database does not answer, tried again"


@pytest.fixture
def on_sqlite(tmp_path: Path) -> Iterator[ChatServer]:
    with ChatServer(database_url=f"sqlite:///{tmp_path / 'db.sqlite3'}") as server:
        yield server


async def tried_again(server: ChatServer) -> bool:
    return TRIED_AGAIN in server.log


async def test_a_message_is_sent_although_the_file_is_locked_for_longer_than_sqlite_waits(
    on_sqlite: ChatServer,
) -> None:
    on_sqlite.simulator.script(text="Here it is.")
    async with open_tab(on_sqlite) as tab:
        locked = sqlite3.connect(on_sqlite.database_url.removeprefix("sqlite:///"), isolation_level=None)
        locked.execute("BEGIN IMMEDIATE")
        client_message_id = await tab.say("Hello")
        await eventually(lambda: tried_again(on_sqlite))
        locked.execute("COMMIT")
        locked.close()

        await tab.until("message.created", client_message_id=client_message_id)
        finished = await tab.until("reply.finished")

    assert finished["status"] == "complete"
    assert not [frame for frame in tab.frames if frame["type"] == "error"]
    assert "Traceback" not in on_sqlite.log


@dataclass(frozen=True, slots=True)
class WiredPostgres:
    """A chat server whose PostgreSQL is behind a wire that can be cut."""

    wire: FaultProxy
    server: ChatServer


@pytest.fixture
def on_postgres(postgres_server: PostgresServer) -> Iterator[WiredPostgres]:
    direct = postgres_server.create_database()
    parts = urlsplit(direct)
    with FaultProxy(Path(parse_qs(parts.query)["host"][0]) / ".s.PGSQL.5432") as wire:
        through = f"postgres://{quote(parts.username or '')}@127.0.0.1:{wire.port}{parts.path}"
        with ChatServer(database_url=direct, environment={"DATABASE_URL": through}) as server:
            yield WiredPostgres(wire, server)


async def test_while_postgresql_is_away_a_command_is_refused_for_now(on_postgres: WiredPostgres) -> None:
    server = on_postgres.server
    server.simulator.script(text="Here it is.", times=2)
    async with open_tab(server) as tab:
        created = await tab.say_and_hear("Hello")
        await tab.until("reply.finished")
        place = {"conversation_id": created["conversation_id"]}
        on_postgres.wire.cut(stay_cut=True)

        await tab.send("conversation.open", **place)
        opened = await tab.until("error")
        client_message_id = await tab.say("And now?", **place)
        sent = await tab.until("error", ref=client_message_id)
        on_postgres.wire.mend()
        again = await tab.say_and_hear("And now, again?", **place)
        finished = await tab.until("reply.finished")

    assert [(e["code"], e["retryable"]) for e in (opened, sent)] == [("unavailable", True)] * 2
    assert again["text"] == "And now, again?"
    assert finished["status"] == "complete"
    assert "Traceback" not in server.log


@pytest.mark.django_db(transaction=True)
class TestADeletedPerson:
    async def test_opens_a_chat_and_is_signed_out(self, open_tab, ann, assistant, caplog) -> None:
        conversation = await in_database_thread(make_conversation, ann, assistant)
        tab = await open_tab(ann)
        await in_database_thread(User.objects.filter(pk=ann.pk).delete)

        await tab.send("conversation.open", conversation_id=conversation.pk)
        await tab.say("Hello", assistant_id=assistant.pk)

        assert await tab.until_closed() == 4401
        assert not [record for record in caplog.records if record.exc_info]
