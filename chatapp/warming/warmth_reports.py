"""Reports to one socket how warm its drafts are: decisions at once, and later the outcome of a warm-up in flight."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from msgspec import UNSET
from msgspec.structs import replace

from chatapp.conversations import access
from chatapp.protocol import ServerFrame
from chatapp.protocol import Warmth as WarmthFrame
from chatapp.protocol.limits import LIMITS
from chatapp.warming.typing import Draft, TypingWatch
from warmcache import Reason, WarmthState
from warmcache.background.tasks import TaskOwner
from warmcache.services import Attempt, Warmth

Send = Callable[[ServerFrame], Awaitable[object]]

MAX_REMEMBERED = LIMITS["followed_prompts"]
STATES_WITH_REASON = {WarmthState.SKIPPED, WarmthState.FAILED}
STATES_WITH_END = {WarmthState.WARM, WarmthState.EXPIRING}


class WarmthReports:
    """Sends a `warmth` frame only when something has changed since the last one for the same draft.

    A new token count alone is no change: it is estimated before a warm-up, and the provider's own at its end.
    """

    def __init__(self, send: Send, watch: TypingWatch) -> None:
        self._send = send
        self._watch = watch
        self._tasks = TaskOwner("warmth")
        self._last: dict[Draft, WarmthFrame] = {}
        self._awaited: set[Draft] = set()

    async def note_typing(self, draft: Draft, *, chars: int) -> None:
        """Handles a typing frame; raises `access.NotFound` for what the user may not see."""
        draft = await self._watch.named(draft)
        attempt = await self._watch.note_typing(draft, chars=chars)
        if draft.edit_of is None:  # the badge is about the next message
            await self._follow(draft, attempt)

    def note_opened(self, draft: Draft) -> None:
        """Handles the opening of a chat, in a task: the prompt has to be read first."""
        self._tasks.spawn(self._report_opened(draft), name="opened")

    def refresh(self, draft: Draft, *, version: int | None = None) -> None:
        """Reports what is believed now, in a task: the prompt may have to be read first. `version` as in
        `TypingWatch.warmth`."""
        self._tasks.spawn(self._report_current(draft, version), name="current")

    async def close(self) -> None:
        await self._tasks.close()

    async def _follow(self, draft: Draft, attempt: Attempt) -> None:
        last = self._last.get(draft)
        if last is not None and last.state is WarmthState.WARM and attempt.decision.reason is Reason.IN_FLIGHT:
            # This look-up may be older than an outcome that was reported in the meantime.
            await self._report(draft, await self._watch.warmth(draft))
            return
        await self._report(draft, attempt.warmth)
        if attempt.finished is not None and draft not in self._awaited:
            self._awaited.add(draft)
            self._tasks.spawn(self._report_end(draft, attempt.finished), name="end of a warm-up")

    async def _report_opened(self, draft: Draft) -> None:
        """Opening a chat is a weak sign: if it is too weak, the badge shows the believed state instead of a refusal."""
        try:
            attempt = await self._watch.note_opened(draft)
            if attempt.finished is not None:
                await self._follow(draft, attempt)
            else:
                await self._report(draft, await self._watch.warmth(draft))
        except access.NotFound:
            return

    async def _report_end(self, draft: Draft, finished: Callable[[], Awaitable[Warmth]]) -> None:
        try:
            await self._report(draft, await finished())
        finally:
            self._awaited.discard(draft)

    async def _report_current(self, draft: Draft, version: int | None = None) -> None:
        try:
            await self._report(draft, await self._watch.warmth(draft, version=version))
        except access.NotFound:
            return

    async def _report(self, draft: Draft, warmth: Warmth) -> None:
        frame = _frame(draft, warmth)
        last = self._last.get(draft)
        if last is not None and replace(last, prefix_tokens=frame.prefix_tokens) == frame:
            return
        self._last = {d: f for d, f in self._last.items() if d != draft}
        self._last[draft] = frame
        while len(self._last) > MAX_REMEMBERED:
            del self._last[next(iter(self._last))]
        await self._send(frame)


def _frame(draft: Draft, warmth: Warmth) -> WarmthFrame:
    # A warm-up still counts as in flight for a moment after its write is believed to be warm.
    end = warmth.expires_at if warmth.state in STATES_WITH_END else None
    expires_at = None if end is None else datetime.fromtimestamp(end, tz=UTC)
    return WarmthFrame(
        conversation_id=draft.conversation_id or UNSET,
        assistant_id=draft.assistant_id or UNSET,
        state=warmth.state,
        reason=warmth.reason if warmth.state in STATES_WITH_REASON else None,
        prefix_tokens=warmth.prefix_tokens,
        estimated_expires_at=expires_at,
    )
