"""The start of the process on a server that tells of it."""

from typing import Any

import pytest

from chatapp.process import lifecycle, lifespan, shutdown
from chatapp.process.shutdown import Schedule, Step
from tests.servers import PATIENCE_SECONDS


async def live(monkeypatch: pytest.MonkeyPatch, *, startup: Any) -> list[str]:
    """What the server hears, from its start to its end."""
    heard: list[str] = []
    events = iter(("lifespan.startup", "lifespan.shutdown"))

    async def receive() -> dict[str, Any]:
        return {"type": next(events)}

    async def send(message: dict[str, Any]) -> None:
        heard.append(message["type"])

    async def shut_down(seconds: float) -> None:
        heard.append("shut down")

    step = Step(name="all of it", seconds=PATIENCE_SECONDS, run=shut_down, lost="nothing")

    monkeypatch.setattr(lifecycle, "startup", startup)
    monkeypatch.setattr(shutdown, "of_application", lambda: Schedule([step], promised_seconds=PATIENCE_SECONDS))
    await lifespan.application({"type": "lifespan"}, receive, send)
    return heard


async def test_the_server_hears_of_the_start_and_of_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    async def startup() -> None:
        """All is well."""

    heard = await live(monkeypatch, startup=startup)

    assert heard == ["lifespan.startup.complete", "shut down", "lifespan.shutdown.complete"]


async def test_a_start_that_fails_is_told_so_that_the_server_does_not_go_on_without_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def startup() -> None:
        raise OSError("the database does not answer")

    assert await live(monkeypatch, startup=startup) == ["lifespan.startup.failed"]
