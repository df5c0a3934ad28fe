"""Two web processes behind a proxy without sticky sessions, under load, while each is restarted and later replaced by
the next version (one changed file, one column more). `ROLLING_SECONDS` and `ROLLING_SOCKETS` make it shorter or
smaller."""

import asyncio
import os
import re
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from benchmarks.steady_load import LOST, Person, RoundRobin, Tally, names_of_people
from tests.servers.chat_server import ChatServer
from tests.servers.postgres_server import PostgresServer, execute
from tests.servers.redis_server import RedisServer
from tests.servers.releases import collect, files_of, next_release

SECONDS = 600.0
SOCKETS = 200
RESTARTS_AT, UPGRADE_AT = 0.2, 0.55
ADDED = {"css/base.css": "\n.next { color: inherit }\n"}
MIGRATION = "ALTER TABLE chatapp_message ADD COLUMN of_the_next_release integer NULL"
BACK_SECONDS = 15.0
LAST_ENDS_SECONDS = 60.0
BETWEEN_PAGES_SECONDS = 1.0


@dataclass(slots=True)
class Pages:
    """Page loads through the proxy, and the files that they did not get."""

    loaded: int = 0
    files: int = 0
    failed: Counter[str] = field(default_factory=Counter)


def run() -> None:
    seconds = float(os.environ.get("ROLLING_SECONDS") or SECONDS)
    sockets = int(os.environ.get("ROLLING_SOCKETS") or SOCKETS)
    with tempfile.TemporaryDirectory() as name, PostgresServer() as postgres, RedisServer() as redis:
        folder = Path(name)
        # Read again at each start of a server.
        environment = collect(folder / "old") | {"KEPT_STATIC_ROOT": str(folder / "kept")}
        next_files = next_release(folder / "old", folder / "new", added=ADDED)
        database_url = postgres.create_database()
        options: dict[str, Any] = {"redis_url": redis.url, "environment": environment, "profile": "haiku"}
        first = ChatServer(database_url=database_url, users=names_of_people(), **options)
        with first, ChatServer(database_url=database_url, beside=first, **options) as second:
            asyncio.run(_measure((first, second), environment, next_files, seconds=seconds, sockets=sockets))


async def _measure(
    servers: Sequence[ChatServer],
    environment: dict[str, str],
    next_files: dict[str, str],
    *,
    seconds: float,
    sockets: int,
) -> None:
    tally, pages = Tally(), Pages()
    began = time.monotonic()
    async with RoundRobin(servers) as proxy, people(proxy, servers[0], sockets, tally):
        loading = asyncio.create_task(_load_pages(proxy, servers[0], pages))
        await asyncio.sleep(seconds * RESTARTS_AT)
        await _restart(servers, "restarted")
        await asyncio.sleep(max(0, began + seconds * UPGRADE_AT - time.monotonic()))
        await asyncio.to_thread(execute, servers[0].database_url, MIGRATION)
        environment.update(next_files)
        await _restart(servers, "upgraded")
        await asyncio.sleep(max(0, began + seconds - time.monotonic()))
        loading.cancel()
    await report_messages(servers[0], tally)
    late = sum(away > BACK_SECONDS for away in tally.away_seconds)
    longest = max(tally.away_seconds, default=0)
    print(f"  sockets: {sockets}, lost {len(tally.away_seconds)} times, closed with {dict(tally.close_codes)}")
    print(f"  back after {longest:.1f} s at most, {late} later than {BACK_SECONDS:.0f} s")
    print(f"  pages: {pages.loaded} loads with {pages.files} files, {sum(pages.failed.values())} of those missing")
    for path, count in pages.failed.most_common(5):
        print(f"    {count} x {path}")


@asynccontextmanager
async def people(proxy: RoundRobin, server: ChatServer, sockets: int, tally: Tally) -> AsyncIterator[None]:
    """They chat while the context is open; afterwards the last replies have had time to end."""
    users = [server.users[name] for name in names_of_people()]
    assistant = server.assistants["small-talk"]
    crowd = [Person(proxy, users[number % len(users)], assistant, tally) for number in range(sockets)]
    tasks = [asyncio.create_task(person.live()) for person in crowd]
    yield
    for person in crowd:
        person.fall_silent()
    deadline = time.monotonic() + LAST_ENDS_SECONDS
    while time.monotonic() < deadline and (await asyncio.to_thread(_unended, server) or _unacked(tally)):  # noqa: ASYNC110
        await asyncio.sleep(1)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def report_messages(server: ChatServer, tally: Tally) -> None:
    rows = server.query("SELECT client_message_id::text, count(*) FROM chatapp_message WHERE role = 'user' GROUP BY 1")
    stored = dict(rows)
    # An acknowledged message may wait for the replies before it.
    queued = {row[0] for row in server.query("SELECT client_message_id::text FROM chatapp_queuedmessage")}
    lost = [each for each in tally.acked if each not in stored and each not in queued]
    doubled = sum(count > 1 for count in stored.values())
    unanswered = server.query(
        "SELECT count(*) FROM chatapp_message m WHERE role = 'user'"
        " AND NOT EXISTS (SELECT 1 FROM chatapp_message r WHERE r.parent_id = m.id AND r.role = 'assistant')"
    )[0][0]
    ends = dict(server.query("SELECT status, count(*) FROM chatapp_message WHERE role = 'assistant' GROUP BY 1"))
    print(
        f"  messages: {len(tally.sent)} sent, {len(tally.acked)} acknowledged, {len(lost)} lost, {doubled} twice, ",
        end="",
    )
    print(f"{len(queued)} still queued")
    print(f"  replies: {ends}; without an end {_unended(server)}, messages without a reply {unanswered}")
    print(f"  errors told: {dict(tally.errors)}", flush=True)


def _unended(server: ChatServer) -> int:
    return int(server.query("SELECT count(*) FROM chatapp_message WHERE status = 'streaming'")[0][0])


def _unacked(tally: Tally) -> bool:
    return len(tally.acked) < len(tally.sent)


async def _restart(servers: Sequence[ChatServer], word: str) -> None:
    for number, server in enumerate(servers, 1):
        began = time.monotonic()
        code = await asyncio.to_thread(server.stop)
        stopped = time.monotonic()
        await asyncio.to_thread(server.start)
        ended = time.monotonic()
        print(f"  process {number} {word}: exit code {code} after {stopped - began:.1f} s, ", end="")
        print(f"serves again after {ended - stopped:.1f} s", flush=True)


async def _load_pages(proxy: RoundRobin, server: ChatServer, pages: Pages) -> None:
    """As browsers do whose caches are empty: a page, then all that it names, each from whichever process is next."""
    cookie = server.users[names_of_people()[0]].cookie
    while True:
        try:
            page = await asyncio.to_thread(_fetch, proxy.url + "/", cookie)
        except (HTTPError, *LOST) as error:
            pages.failed[f"the page itself: {error}"] += 1
        else:
            pages.loaded += 1
            for path in sorted(files_of(page)):
                pages.files += 1
                try:
                    await asyncio.to_thread(_fetch, proxy.url + path, cookie)
                except (HTTPError, *LOST) as error:
                    pages.failed[f"{re.sub(r'[.][0-9a-f]{12}', '', path)}: {error}"] += 1
        await asyncio.sleep(BETWEEN_PAGES_SECONDS)


def _fetch(url: str, cookie: str) -> str:
    with urlopen(Request(url, headers={"Cookie": cookie}), timeout=60) as answer:  # noqa: S310
        return str(answer.read().decode(errors="replace"))
