"""The end of a real request: its row, its settlement and the host's own write, in one transaction and one hop."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from warmcache.core.errors import LedgerBehind
from warmcache.core.outcomes import RequestStatus
from warmcache.core.prefix import Prefix
from warmcache.core.usage import Usage
from warmcache.ledger import rows
from warmcache.ledger.rows import RequestFacts, Settlement
from warmcache.ledger.writer import DATABASE_FAILURES
from warmcache.runtime.state import Runtime

logger = logging.getLogger(__name__)

RECORD_PATIENCE_SECONDS = 5.0
"""How long the end of a reply may wait for its row; a database that hangs must not delay the person."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How a real request ended. `usage` is None if the provider never began to answer.

    `ttft_ms` runs from the call of `stream_response` to the first visible text, including a join.
    """

    status: RequestStatus
    stop_reason: str
    stop_details: Mapping[str, Any] | None
    """What the provider says about its stop reason: the category and the explanation of a refusal."""
    usage: Usage | None
    request_id: str
    ttft_ms: int | None
    settlement: Settlement
    prefix: Prefix
    """The cacheable part of the request, without its content."""
    started_at: float
    """When the call went to the provider, epoch seconds; 0 if there was none."""
    is_ttl_open: bool = False
    """Whether a refresh may choose how long what it writes lives: the prompt's conversation says `auto`."""
    asks_tool: bool = False
    """Whether a program continues the answer, and no person."""
    ending_was_run: bool = False
    """Whether the writes of the host's `ending` are committed. If not, the host runs it itself."""


Ending = Callable[[Result], None]
"""The host's own write at the end of a request. Synchronous; it may be run twice."""


async def end_request(runtime: Runtime, facts: RequestFacts, unsettled: Result, ending: Ending | None) -> Result:
    """Writes the ledger's part of a request whose call was made. A ledger that cannot be written must not cost the
    person the reply: then nothing is settled yet, and the host runs `ending` itself."""
    write = _EndWrite(facts, unsettled, ending)
    try:
        async with asyncio.timeout(RECORD_PATIENCE_SECONDS):
            settlement = await runtime.ledger.perform(write, is_kept=True)
    except (TimeoutError, LedgerBehind):
        write.leave_ending()
        logger.error("The row of request %s is not written yet; its reply goes on without", facts.id)
        return unsettled
    except Exception as error:
        write.leave_ending()
        logger.error("Request %s has no row: %s", facts.id, error)
        return unsettled
    _teach_silence(runtime, facts.origin.label, settlement)
    return replace(unsettled, settlement=settlement, ending_was_run=write.ending_was_run)


class _EndWrite:
    """The write, which the ledger may retry much later, when no caller waits for it any more."""

    def __init__(self, facts: RequestFacts, unsettled: Result, ending: Ending | None) -> None:
        self.ending_was_run = False
        self._facts = facts
        self._unsettled = unsettled
        self._ending = ending

    def __call__(self) -> Settlement:
        ending = self._ending
        if ending is None:
            return rows.record_request(self._facts)
        try:
            settlement = rows.record_request(self._facts, then=lambda settled: self._run(ending, settled))
        except _EndingFailed as failure:
            logger.error("What the host writes at the end of request %s failed", self._facts.id, exc_info=failure.error)
            self.leave_ending()
            return rows.record_request(self._facts)
        self.ending_was_run = True
        return settlement

    def leave_ending(self) -> None:
        self._ending = None

    def _run(self, ending: Ending, settlement: Settlement) -> None:
        try:
            ending(replace(self._unsettled, settlement=settlement))
        except DATABASE_FAILURES:
            raise  # retried, with the whole transaction
        except Exception as error:
            raise _EndingFailed(error) from error


class _EndingFailed(Exception):
    """The host's own error: it must not cost us the row."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


def _teach_silence(runtime: Runtime, label: str, settlement: Settlement) -> None:
    if settlement.arrival_seconds is not None:
        runtime.learning.saw_arrival(label, settlement.arrival_seconds)
    if (silence := settlement.silence) is not None:
        runtime.learning.saw_return(label, silence.seconds, asked_tool=silence.asked_tool)
