"""What a socket is told of the warmth of its drafts."""

import pytest

from chatapp.protocol import Warmth as WarmthFrame
from chatapp.warming.typing import Draft
from chatapp.warming.warmth_reports import WarmthReports
from warmcache.core.outcomes import WarmthState
from warmcache.services import Warmth

DRAFT = Draft(assistant_id=1)


class Watch:
    """Believes what a test says."""

    def __init__(self, *beliefs: Warmth) -> None:
        self._beliefs = list(beliefs)

    async def warmth(self, draft: Draft, *, version: int | None = None) -> Warmth:
        return self._beliefs.pop(0)


async def told_of(*beliefs: Warmth) -> list[WarmthFrame]:
    told: list[WarmthFrame] = []

    async def send(frame: WarmthFrame) -> None:
        told.append(frame)

    reports = WarmthReports(send, Watch(*beliefs))
    for _ in beliefs:
        await reports._report_current(DRAFT)
    return told


@pytest.mark.parametrize("state", WarmthState)
async def test_an_end_is_told_only_of_what_is_warm(state):
    (frame,) = await told_of(Warmth(state=state, prefix_tokens=5000, expires_at=1000.0))

    assert (frame.estimated_expires_at is not None) is (state in ("warm", "expiring"))


async def test_a_warm_up_that_is_still_in_flight_when_its_entry_is_believed_in_is_told_once():
    before = Warmth(state=WarmthState.WARMING, prefix_tokens=5000)
    after = Warmth(state=WarmthState.WARMING, prefix_tokens=5000, expires_at=1000.0)

    assert len(await told_of(before, after)) == 1
