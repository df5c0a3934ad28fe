"""What the provider reported for one real request, over all attempts: what it found, was billed, and how fast."""

from dataclasses import replace

from warmcache.core.blocks import BlockKind
from warmcache.core.catalog import facts_for
from warmcache.core.ports import BlockDelta, StreamBegan, StreamEnded
from warmcache.core.usage import Usage


class Measurement:
    """Filled as the events arrive. After a failed attempt `begin_again` is called."""

    def __init__(self, model: str) -> None:
        self.began: StreamBegan | None = None
        """The start of the current attempt."""
        self.found: Usage | None = None
        """What the first answer reported: what was in the cache when the request came."""
        self.ended: StreamEnded | None = None
        self.has_blocks = False
        """Whether something was shown."""
        self.ttft_ms: int | None = None
        """Time to the first visible text, including a join."""
        self.answered_ms: int | None = None
        """Time to the start of the stream that was shown, a join and earlier attempts included."""
        self.first_token_ms: int | None = None
        """Time to the first token of that stream, even if nobody sees it."""
        self._model = model
        self._spent: Usage | None = None
        self._output_characters = 0
        self._is_timed = False

    @property
    def usage(self) -> Usage | None:
        """As billed, over all attempts; the provider never reports the output of a broken reply, so it is estimated."""
        now = self._usage_of_this_try()
        return self._spent + now if self._spent and now else self._spent or now

    def begin(self, event: StreamBegan) -> bool:
        """Records a start; returns whether this is the first answer."""
        is_first = self.found is None
        self.began = event
        self.found = self.found or event.usage
        return is_first

    def begin_again(self) -> None:
        self._spent, self.began, self._output_characters = self.usage, None, 0
        self._is_timed = False

    def is_first_text(self, delta: BlockDelta) -> bool:
        """Counts a delta; returns whether it is the first visible text of all attempts."""
        self._output_characters += len(delta.text)
        return self.ttft_ms is None and delta.kind == BlockKind.TEXT

    def take_first_token(self) -> Usage | None:
        """At the first token of an attempt: what it had to read, which took until now; afterwards None."""
        if self._is_timed or self.began is None:
            return None
        self._is_timed = True
        return self.began.usage

    def _usage_of_this_try(self) -> Usage | None:
        if self.ended is not None or self.began is None:
            return self.ended.usage if self.ended else None
        seen_tokens = round(self._output_characters / facts_for(self._model).chars_per_token)
        begun = self.began.usage
        return replace(begun, output_tokens=max(begun.output_tokens, seen_tokens))
