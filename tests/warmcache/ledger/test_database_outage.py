"""A real PostgreSQL that refuses its clients for a while: the ledger goes on where it stopped."""

import asyncio
from collections.abc import Iterator
from uuid import uuid4

import psycopg
import pytest
from django.db import connection

from tests.servers import PATIENCE_SECONDS
from warmcache import Purpose, RequestStatus
from warmcache.background.database import in_database_thread
from warmcache.core.errors import LedgerBehind
from warmcache.core.origin import Origin
from warmcache.core.usage import Usage
from warmcache.ledger import rows
from warmcache.ledger.rows import RequestFacts, WarmUpFacts
from warmcache.ledger.writer import Ledger
from warmcache.models import UsageRecord, WarmUp
from warmcache.testing import FakeClock, make_prefix

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite has no server that could be away"),
]

WARM_UPS = 50
PREFIX = make_prefix(turns=1)
ORIGIN = Origin(label="", subject="", upstream="simulator")


class Server:
    """Speaks to the server beside the database under test, which it can close and open."""

    def __init__(self) -> None:
        asked = connection.get_connection_params()
        self._name = asked["dbname"]
        known = {name: asked[name] for name in ("user", "password", "host", "port") if asked.get(name)}
        self._beside = psycopg.connect(dbname="postgres", autocommit=True, **known)

    def close_database(self) -> None:
        self._beside.execute(f'ALTER DATABASE "{self._name}" ALLOW_CONNECTIONS false')
        self._beside.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [self._name])

    def open_database(self) -> None:
        self._beside.execute(f'ALTER DATABASE "{self._name}" ALLOW_CONNECTIONS true')

    def leave(self) -> None:
        self._beside.close()


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    connection.close()  # this thread's own, which would be ended too
    yield server
    server.open_database()
    server.leave()


def warm_up() -> WarmUpFacts:
    return WarmUpFacts(id=uuid4(), origin=ORIGIN, prefix=PREFIX, intent="typing", reason="cold", started_at=100.0)


def request() -> RequestFacts:
    usage = Usage(input_tokens=9, cache_read_tokens=5000)
    return RequestFacts(
        id=uuid4(),
        origin=ORIGIN,
        purpose=Purpose.REPLY,
        prefix=PREFIX,
        started_at=110.0,
        duration_ms=10,
        ttft_ms=5,
        status=RequestStatus.COMPLETE,
        error_code=None,
        request_id="r",
        found=usage,
        usage=usage,
        rates=None,
        joined_id=None,
        raced_id=None,
        waited_ms=0,
    )


def post_warm_up(ledger: Ledger) -> None:
    facts, usage = warm_up(), Usage(cache_write_tokens=5000)
    ledger.post(lambda: rows.insert_warm_up(facts))
    ledger.post(
        lambda: rows.finish_warm_up(facts, usage=usage, rates=None, duration_ms=5, request_id="r", response_id="m")
    )


async def until_behind(ledger: Ledger) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not ledger.is_behind:  # noqa: ASYNC110 - the driver's own patience decides when it gives up
            await asyncio.sleep(0.02)


async def test_no_row_is_lost_to_a_database_that_is_away_for_a_while(clock: FakeClock, server: Server) -> None:
    ledger, sent = Ledger(clock=clock), request()
    writer = asyncio.create_task(ledger.write_forever())
    post_warm_up(ledger)
    await ledger.flush()

    server.close_database()
    for _ in range(WARM_UPS):
        post_warm_up(ledger)
    await until_behind(ledger)
    with pytest.raises(LedgerBehind):
        await ledger.perform(lambda: rows.record_request(sent), is_kept=True)
    server.open_database()
    async with asyncio.timeout(PATIENCE_SECONDS):
        await ledger.drain()
    writer.cancel()

    whole = await in_database_thread(WarmUp.objects.filter(cache_write_tokens=5000, outcome="hit").count)
    assert whole == WARM_UPS + 1
    assert await in_database_thread(UsageRecord.objects.count) == 1
    assert (ledger.dropped_writes, ledger.waiting_writes) == (0, 0)
