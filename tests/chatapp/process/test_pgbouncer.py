"""Behind a real PgBouncer that gives out connections by transaction, as its users run it."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.servers import PATIENCE_SECONDS, MissingServerError
from tests.servers.chat_server import ROOT, ChatServer, clean_environment
from tests.servers.pgbouncer_server import PgBouncerServer
from tests.servers.postgres_server import PostgresServer
from tests.servers.tabs import open_tab

PEOPLE = ("ann", "bob", "root")


@pytest.fixture(scope="module")
def database(postgres_server: PostgresServer) -> str:
    return postgres_server.create_database()


@pytest.fixture(scope="module")
def bouncer(database: str) -> Iterator[PgBouncerServer]:
    try:
        bouncer = PgBouncerServer(database)
    except MissingServerError as error:
        pytest.skip(str(error))
    with bouncer:
        yield bouncer


@pytest.fixture(scope="module")
def server(database: str, bouncer: PgBouncerServer) -> Iterator[ChatServer]:
    environment = {"DATABASE_URL": bouncer.url, "PGBOUNCER": "1"}
    with ChatServer(database_url=database, users=PEOPLE, environment=environment) as server:
        yield server


async def test_people_chat_at_once_over_fewer_connections_than_threads(server: ChatServer) -> None:
    async def talk(name: str) -> None:
        async with open_tab(server, name) as tab:
            conversation_id = (await tab.say_and_hear("First"))["conversation_id"]
            await tab.until("reply.finished", status="complete")
            for text in ("Second", "Third"):
                await tab.say_and_hear(text, conversation_id=conversation_id)
                await tab.until("reply.finished", status="complete")

    await asyncio.gather(*map(talk, PEOPLE))

    (messages,) = server.query("SELECT count(*) FROM chatapp_message WHERE status = 'complete'")
    (usage,) = server.query("SELECT count(*) FROM warmcache_usagerecord")
    assert (messages, usage) == ((18,), (9,))
    assert "Traceback" not in server.log


def test_the_check_asks_for_a_time_limit_of_the_role(server: ChatServer) -> None:
    command = [sys.executable, "manage.py", "check", "--database", "default"]
    done = subprocess.run(
        command, cwd=ROOT, env=server.environment(), capture_output=True, text=True, timeout=PATIENCE_SECONDS
    )

    assert "chatapp.W007" in done.stderr
    assert "ALTER ROLE postgres SET statement_timeout" in done.stderr


def test_without_the_setting_the_sentence_names_it(server: ChatServer, bouncer: PgBouncerServer) -> None:
    command = [sys.executable, "manage.py", "serve", "--port", "0"]
    environment = clean_environment(DATABASE_URL=bouncer.url)
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=PATIENCE_SECONDS)

    assert done.returncode == 1
    assert done.stderr.endswith("set PGBOUNCER=1.\n")
