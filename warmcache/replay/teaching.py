"""What a learning policy is told, and when: each outcome as soon as it would be known, but not earlier."""

from collections import deque

from warmcache.core.forecast.teaching import SILENCE_CHECKPOINTS
from warmcache.core.intents import Sign
from warmcache.replay.policies import Learner
from warmcache.replay.scenes import Scene
from warmcache.replay.traces import TracedRequest
from warmcache.simulator.engine import Plan

INTENT_HORIZON_SECONDS = 300.0
"""A send later than this was not announced by the intent."""

Seen = tuple[float, Sign]


class Teacher:
    """Follows one scene for one learner. Learning only from successes would mislead: silences and drafts count too."""

    def __init__(self, scene: Scene, learner: Learner) -> None:
        self._scene = scene
        self._learner = learner
        self._after = [-1] * len(scene.conversations)
        self._signs: list[list[Seen]] = [[] for _ in scene.conversations]
        self._unanswered: deque[tuple[float, int, Seen]] = deque()
        self._silences = [deque[tuple[float, int, int]]() for _ in SILENCE_CHECKPOINTS]

    def sign(self, at: float, number: int, kind: Sign) -> None:
        """An intent was seen."""
        self._signs[number].append((at, kind))
        self._unanswered.append((at + INTENT_HORIZON_SECONDS, number, (at, kind)))

    def call(self, plan: Plan) -> None:
        """A call was answered."""
        read = plan.usage.cache_read_tokens
        self._learner.saw_call(
            uncached_tokens=plan.usage.total_tokens - read, cached_tokens=read, ttft_seconds=plan.ttft_seconds
        )

    def request(self, at: float, number: int, index: int, *, believed_tokens: int, read_tokens: int) -> None:
        """Request `index` was sent at `at`; `believed_tokens` were believed live, `read_tokens` were read."""
        request = self._scene.conversations[number].requests[index]
        for seen_at, kind in self._signs[number]:
            lead = at - seen_at
            is_answer = request.is_person and lead <= INTENT_HORIZON_SECONDS
            self._learner.saw_intent(kind, lead_seconds=lead if is_answer else None)
        self._signs[number].clear()
        self._tell_return(number, at)
        share = min(1.0, read_tokens / believed_tokens) if believed_tokens and request.is_person else None
        asks_tool = request.asks_tool if request.gap_is_known else None
        self._learner.saw_request(at=at, kept_share=share, asks_tool=asks_tool)
        if index > 0:
            before = self._scene.conversations[number].requests[index - 1]
            self._learner.saw_history(
                asked_tool=before.asks_tool,
                reply_tokens=before.output_tokens,
                keeps_prompt=request.kept_tokens >= before.prompt_tokens,
                keeps_reply=request.kept_tokens >= before.history_tokens,
            )
        self._after[number] = max(index, self._after[number])
        for seconds, silences in zip(SILENCE_CHECKPOINTS, self._silences, strict=True):
            silences.append((at + seconds, number, index))

    def overdue(self, now: float) -> None:
        """Reports signs without a send in time, and unfinished silences."""
        while self._unanswered and self._unanswered[0][0] < now:
            _, number, sign = self._unanswered.popleft()
            if sign in self._signs[number]:
                self._signs[number].remove(sign)
                self._learner.saw_intent(sign[1], lead_seconds=None)
        for checkpoint, silences in enumerate(self._silences):
            while silences and silences[0][0] <= now:
                at, number, index = silences.popleft()
                if self._after[number] == index and at <= self._scene.conversations[number].silent_until:
                    self._tell_silence(number, checkpoint)

    def close(self) -> None:
        """The trace ends: what is open stays open."""
        self.overdue(max((conversation.silent_until for conversation in self._scene.conversations), default=0.0))
        for number, conversation in enumerate(self._scene.conversations):
            before = self._last(number)
            if before is not None:
                seconds = conversation.silent_until - before.at
                self._learner.saw_open_end(asked_tool=before.asks_tool, seconds=seconds, tokens=before.history_tokens)
            for _, kind in self._signs[number]:
                self._learner.saw_intent(kind, lead_seconds=None)

    def _tell_return(self, number: int, at: float) -> None:
        before = self._last(number)
        if before is not None:
            self._learner.saw_return(asked_tool=before.asks_tool, seconds=at - before.at, tokens=before.history_tokens)

    def _tell_silence(self, number: int, checkpoint: int) -> None:
        before = self._last(number)
        if before is not None:
            self._learner.saw_silence(asked_tool=before.asks_tool, checkpoint=checkpoint, tokens=before.history_tokens)

    def _last(self, number: int) -> TracedRequest | None:
        """The last request, if it is known when the next one comes."""
        if self._after[number] < 0:
            return None
        before = self._scene.conversations[number].requests[self._after[number]]
        return before if before.gap_is_known else None
