"""Fixtures for sockets on the real application over a real simulator; each test ends with no task left running."""

import asyncio
import gc
import logging
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator

import pytest
from channels.layers import get_channel_layer
from django.conf import settings
from django.db.backends.utils import CursorWrapper

from chatapp.conversations import prepared_conversations
from chatapp.models import Assistant, McpServer, User
from chatapp.pages import post_limits
from chatapp.process import shutdown
from chatapp.quotas import policy as limits
from chatapp.replies.writer import ReplyWriter
from tests import patience
from tests.chatapp.sockets import Tab, cookie_of, sign_in
from tests.factories import make_assistant, make_user
from tests.servers import PATIENCE_SECONDS
from tests.servers.mcp_server import ToolServer
from tests.servers.simulator_server import SimulatorControl, SimulatorServer
from warmcache import operator_policy
from warmcache.background.database import in_database_thread
from warmcache.core.ports import StreamEvent
from warmcache.runtime import state
from warmcache.testing import FakeClock
from warmcache.upstream import loop_lag

PATIENCES = (
    *patience.PATIENCES,
    "chatapp.socket.channel_layer.COMMAND_SECONDS",
    "chatapp.replies.redis_logs.COMMAND_SECONDS",
    "chatapp.replies.run.LAST_WRITE_SECONDS",
    "chatapp.socket.session.LAST_WORK_SECONDS",
    "chatapp.socket.session.PONG_SECONDS",
    "chatapp.process.upstream.LOCAL_PROBE_SECONDS",
    "chatapp.replies.tools.consents.ANSWER_SECONDS",
    "chatapp.tool_servers.servers.CALL_SECONDS",
    "chatapp.tool_servers.servers.LOOK_SECONDS",
)
"""The same of the chat."""

BY_THE_CLOCK = (
    "chatapp.process.housekeeping.ALERT_SECONDS",
    "chatapp.process.housekeeping.LOOK_SECONDS",
    "chatapp.quotas.common_places.BEAT_SECONDS",
    "chatapp.quotas.policy.REFRESH_SECONDS",
    "chatapp.replies.checkpoints.CHECKPOINT_SECONDS",
    "chatapp.replies.redis_logs.CHECK_SECONDS",
    "chatapp.replies.takeover.LOOK_SECONDS",
    "chatapp.replies.tools.consents.LOOK_SECONDS",
    "chatapp.socket.channel_layer.CHECK_SECONDS",
    "chatapp.socket.channel_layer.HEALTH_CHECK_SECONDS",
    "chatapp.socket.session_watch.LOOK_SECONDS",
    "warmcache.learned.rows.TELL_SILENCES_EVERY_SECONDS",
    "warmcache.operator_policy.REFRESH_SECONDS",
    "warmcache.runtime.state.HOUSEKEEPING_SECONDS",
)
"""Time between two looks of a process."""

LONG_DOCUMENT = "".join(f"Paragraph {n} tells how the cache of prompts is kept warm, and why.\n\n" for n in range(400))
"""Well above every model's shortest prefix that can be cached."""


@pytest.fixture(autouse=True)
def machine_may_be_slow(monkeypatch) -> None:
    """Raises time limits in this process; tests of these limits set them themselves."""
    for name in PATIENCES:
        monkeypatch.setattr(name, PATIENCE_SECONDS)
    monkeypatch.setattr(settings, "SHUTDOWN_SECONDS", shutdown.USUAL_SECONDS * PATIENCE_SECONDS)


@pytest.fixture(autouse=True)
def nothing_is_ready() -> Iterator[None]:
    """Empties what is kept in memory, because row ids repeat in the next test's database."""
    limits.watch.forget()
    yield
    prepared_conversations.store.clear()
    post_limits.of_persons.clear()
    post_limits.of_addresses.clear()


@pytest.fixture
def nothing_by_the_clock(monkeypatch) -> None:
    """For counts: on a slow machine, what a process does every few seconds falls into the middle of them."""
    for name in BY_THE_CLOCK:
        monkeypatch.setattr(name, 3600.0)


@pytest.fixture
def clock() -> FakeClock:
    """A clock whose times floating point holds exactly, with everything that tests add to them."""
    return FakeClock(now=100.0)


@pytest.fixture(scope="session")
def _simulator() -> Iterator[SimulatorControl]:
    with SimulatorServer() as process:
        yield process.wait_ready()


@pytest.fixture
def simulator(_simulator: SimulatorControl, settings) -> SimulatorControl:
    """The upstream of this test: empty cache, empty journal, no faults."""
    _simulator.reset()
    settings.WARMCACHE = {**settings.WARMCACHE, "API_KEY": _simulator.api_key, "BASE_URL": _simulator.url}
    return _simulator


@pytest.fixture
def assistant(transactional_db) -> Assistant:
    """The default assistant, with enough text to be worth warming."""
    return make_assistant(name="Guide", slug="guide", is_default=True, documents=(LONG_DOCUMENT,))


@pytest.fixture
def ann(transactional_db) -> User:
    return make_user("ann")


@pytest.fixture
def bob(transactional_db) -> User:
    return make_user("bob")


@pytest.fixture
async def quiet_process(caplog, transactional_db) -> AsyncIterator[logging.Logger]:
    """Shuts the process down after the test as a server does; no task may be left, and no error in the log."""
    await get_channel_layer().flush()
    others = asyncio.all_tasks()

    yield logging.getLogger()

    await shutdown.of_application().run()
    left = {task for task in asyncio.all_tasks() - others - {asyncio.current_task()} if not task.done()}
    gc.collect(1)
    assert not left
    errors = [r for r in caplog.get_records("call") if r.levelno >= logging.ERROR]
    assert not errors, [f"{r.name}: {r.getMessage()} {r.exc_text}" for r in errors]


@pytest.fixture
async def open_tab(quiet_process, simulator) -> AsyncIterator[Callable[[User], Awaitable[Tab]]]:
    """Opens a tab of a signed-in user; tabs that are still open disconnect at the end."""
    tabs: list[Tab] = []

    async def open_one(user: User) -> Tab:
        session_key = await in_database_thread(sign_in, user)
        tabs.append(await Tab(cookie_of(session_key)).connect())
        return tabs[-1]

    yield open_one
    for tab in tabs:
        await tab.disconnect()


@pytest.fixture
def queries(monkeypatch) -> list[str]:
    """SQL statements of all threads, in order, without transaction control and without periodic statements."""
    monkeypatch.setattr(state, "HOUSEKEEPING_SECONDS", 3600)
    monkeypatch.setattr(operator_policy, "REFRESH_SECONDS", 3600)
    monkeypatch.setattr(limits, "REFRESH_SECONDS", 3600)
    statements: list[str] = []
    execute = CursorWrapper.execute

    def counted(cursor: CursorWrapper, sql: str, params: object = None) -> object:
        if not sql.startswith(("BEGIN", "COMMIT", "SAVEPOINT", "RELEASE")):
            statements.append(sql)
        return execute(cursor, sql, params)

    monkeypatch.setattr(CursorWrapper, "execute", counted)
    return statements


@pytest.fixture
def frame_per_delta(monkeypatch) -> None:
    """Every delta of the provider is a frame of its own, however busy the machine is and whatever arrives together."""
    monkeypatch.setattr(loop_lag, "BEHIND_SECONDS", math.inf)
    take = ReplyWriter.take

    def take_one_by_one(writer: ReplyWriter, events: Iterable[StreamEvent]) -> None:
        for event in events:
            take(writer, [event])

    monkeypatch.setattr(ReplyWriter, "take", take_one_by_one)


@pytest.fixture
def words(settings) -> Iterator[ToolServer]:
    """A real MCP server on this machine, which the operator has listed."""
    settings.MCP_PRIVATE_HOSTS = ["127.0.0.1"]
    with ToolServer() as server:
        yield server


@pytest.fixture
def listed(transactional_db, words: ToolServer) -> McpServer:
    return McpServer.objects.create(name="Words", prefix="words", url=words.url)
