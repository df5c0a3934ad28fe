"""The way of a follow-up from its frame to the provider's call: what `docs/architecture.md` lists is what runs."""

import asyncio
import re
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest

from tests.chatapp.sockets import Tab
from warmcache import services as warmcache
from warmcache.background.database import in_database_thread

pytestmark = pytest.mark.django_db(transaction=True)

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs/architecture.md").read_text()
ROW = re.compile(r"^\| \d+ \| `([\w/]+\.py): ([\w.]+)`", re.MULTILINE)

MOST_CALLS = 12
TASKS = 2
QUEUES = {"chatapp/socket/lane.py", "warmcache/background/tasks.py"}
"""What begins the tasks, which the page counts as tasks."""


def steps_on_the_page() -> list[tuple[str, str]]:
    """Module and function of each row of "One message"."""
    table = PAGE.split("## One message")[1].split("\n## ")[0].split("Back from the provider")[0]
    return [(path if path.startswith("warmcache/") else f"chatapp/{path}", name) for path, name in ROW.findall(table)]


def step_of(code: CodeType) -> tuple[str, str] | None:
    """Module and function; None for what is not ours."""
    path = code.co_filename.removeprefix(f"{ROOT}/")
    return (path, code.co_qualname) if path.startswith(("chatapp/", "warmcache/")) else None


def stack_of(frame: FrameType | None) -> list[tuple[str, str]]:
    """Our functions that are at work below this frame, the outermost first."""
    steps = []
    while frame is not None:
        if step := step_of(frame.f_code):
            steps.append(step)
        frame = frame.f_back
    return steps[::-1]


class Way:
    """The calls between two moments: each of our functions in the order of its first call, and who led to the last."""

    def __init__(self, first: tuple[str, str], last: tuple[str, str]) -> None:
        self.called: list[tuple[str, str]] = []
        self.chain: list[tuple[str, str]] | None = None
        """The functions at work when the last was called, over all tasks between."""
        self.tasks = 0
        self._first, self._last = first, last
        self._begun_by: dict[asyncio.Task[Any], tuple[list[tuple[str, str]], asyncio.Task[Any] | None]] = {}

    def profile(self, frame: FrameType, event: str, _: object) -> None:
        if event != "call" or self.chain is not None or (step := step_of(frame.f_code)) is None:
            return
        if (self.called or step == self._first) and step not in self.called:
            self.called.append(step)
        if self.called and step == self._last:
            self.chain = self._chain(frame)

    def make_task(self, loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> asyncio.Task[Any]:
        task = asyncio.Task(coroutine, loop=loop, **options)
        self._begun_by[task] = (stack_of(sys._getframe()), asyncio.current_task(loop))
        return task

    def _chain(self, frame: FrameType) -> list[tuple[str, str]]:
        chain, task = stack_of(frame), asyncio.current_task()
        while self._first not in chain:
            before, task = self._begun_by[task]  # type: ignore[index]
            chain = before + chain
            self.tasks += 1
        return chain[chain.index(self._first) :]


@asynccontextmanager
async def followed(first: tuple[str, str], last: tuple[str, str]) -> AsyncIterator[Way]:
    """Follows the calls of this thread and of the database threads."""
    path, loop = Way(first, last), asyncio.get_running_loop()
    loop.set_task_factory(path.make_task)
    threading.setprofile(path.profile)
    await in_database_thread(sys.setprofile, path.profile)
    sys.setprofile(path.profile)
    try:
        yield path
    finally:
        sys.setprofile(None)
        await in_database_thread(sys.setprofile, None)
        threading.setprofile(None)
        loop.set_task_factory(None)


async def test_a_follow_up_takes_the_steps_that_the_page_lists(open_tab, ann, assistant, simulator):
    steps = steps_on_the_page()
    tab: Tab = await open_tab(ann)
    await tab.say("The first", assistant_id=assistant.pk)
    created = await tab.until("message.created")
    await tab.until("reply.finished")
    await tab.until("warmth")
    await warmcache.flush()

    async with followed(steps[0], steps[-1]) as path:
        await tab.say("And then?", conversation_id=created["conversation_id"])
        await tab.until("reply.finished")

    assert path.chain is not None
    assert [step for step in path.called if step in steps] == steps
    modules = [module for module, _ in path.chain]
    calls_between = [after for before, after in zip(modules, modules[1:], strict=False) if before != after]
    assert set(calls_between) - QUEUES <= {module for module, _ in steps}
    assert len(calls_between) <= MOST_CALLS, path.chain
    assert len(steps) <= MOST_CALLS
    assert path.tasks == TASKS, path.chain
