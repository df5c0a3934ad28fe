"""The interface of a policy, what it may see and do, and the simple policies that everybody tries first."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from warmcache.core.intents import Sign
from warmcache.core.ttl import LONG_TTL_SECONDS, SHORT_TTL_SECONDS
from warmcache.replay.join_rule import join_bound_seconds

JOIN_AFTER_SECONDS = 0.5
JOIN_BOUND_FACTOR = 3.0


@dataclass(slots=True, kw_only=True)
class View:
    """Everything known of one conversation at one moment; nothing of the future, no later rows of the trace.

    Made for every question and never changed; freezing it would take a tenth of the replay's time.
    `hot_tokens` and `hot_until` follow from the calls made so far, as in a store of sightings.
    """

    now: float
    conversation: int
    after: int
    """The number of the last request; -1 before the first one."""
    intent: int
    """The number of the present sign; -1 if there is none."""
    history_tokens: int
    shared_tokens: int
    hot_tokens: int
    hot_until: float
    shared_until: float
    """When the shared layer lapses, which others use too."""
    touched_at: float
    """Start of the call that last read or wrote this prefix."""
    silent_seconds: float
    """Time since the last request."""
    touches: int
    """Warm-ups since the last request."""
    asks_tool: bool
    gap_is_known: bool
    reply_tokens: int
    """The end of the history that no request has contained yet."""
    ttl_seconds: int
    """TTL of the deepest entry."""
    hour_tokens: int
    """Tokens that live for an hour after the last touch and are still within reach of a look-back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Meeting:
    """A send meets a warm-up in flight."""

    conversation: int
    after: int
    elapsed_seconds: float
    prefix_tokens: int
    cold_tokens: int


class Policy(Protocol):
    """Makes decisions; never touches the engine. A TTL means: warm now with this TTL. None means: do not."""

    name: str
    wakes: bool
    """Whether it wants to be asked again at nine tenths of an entry's lifetime."""
    hears: frozenset[Sign]
    """The kinds of signs that it is asked about; without any, no sign is even simulated."""
    looks: bool
    """Whether it asks what is hot; if not, nothing is looked up."""

    def on_intent(self, view: View, kind: Sign) -> int | None:
        """A person opens the chat or types."""

    def on_wake(self, view: View) -> int | None:
        """A live prefix nears its expiry, and nobody has come back."""

    def request_ttl(self, view: View, new_tokens: int) -> int:
        """The TTL for writing a real request's new tokens."""

    def shared_ttl(self) -> int:
        """The TTL for writing the shared layer."""

    def joins(self, meeting: Meeting) -> bool:
        """Whether the send waits for the warm-up."""


class Learner(Protocol):
    """What a learning policy is told, after each event."""

    def saw_call(self, *, uncached_tokens: int, cached_tokens: int, ttft_seconds: float) -> None: ...

    def saw_intent(self, kind: Sign, *, lead_seconds: float | None) -> None: ...

    def saw_return(self, *, asked_tool: bool, seconds: float, tokens: int) -> None:
        """`tokens`: of the prompt and its reply, before the silence."""

    def saw_silence(self, *, asked_tool: bool, checkpoint: int, tokens: int) -> None: ...

    def saw_open_end(self, *, asked_tool: bool, seconds: float, tokens: int) -> None: ...

    def saw_request(self, *, at: float, kept_share: float | None, asks_tool: bool | None) -> None: ...

    def saw_history(self, *, asked_tool: bool, reply_tokens: int, keeps_prompt: bool, keeps_reply: bool) -> None: ...


class Never:
    """The baseline: caching as usual, no warm-up."""

    name = "never"
    wakes = False
    hears: frozenset[Sign] = frozenset()
    looks = False

    def __init__(self, ttl_seconds: int = SHORT_TTL_SECONDS) -> None:
        self._ttl_seconds = ttl_seconds

    def on_intent(self, view: View, kind: Sign) -> int | None:
        return None

    def on_wake(self, view: View) -> int | None:
        return None

    def request_ttl(self, view: View, new_tokens: int) -> int:
        return self._ttl_seconds

    def shared_ttl(self) -> int:
        return self._ttl_seconds

    def joins(self, meeting: Meeting) -> bool:
        bound = join_bound_seconds(
            elapsed_seconds=meeting.elapsed_seconds,
            prefix_tokens=meeting.prefix_tokens,
            join_after_seconds=JOIN_AFTER_SECONDS,
            bound_factor=JOIN_BOUND_FACTOR,
        )
        return bound is not None


class OneHour(Never):
    """No warm-up, but everything is written for an hour."""

    name = "1h"

    def __init__(self) -> None:
        super().__init__(LONG_TTL_SECONDS)


class WarmOn(Never):
    """Warms at every intent of one kind, even if the prefix is warm: without gates, like first versions."""

    def __init__(self, name: str, kind: Sign) -> None:
        super().__init__()
        self.name = name
        self.hears = frozenset({kind})

    def on_intent(self, view: View, kind: Sign) -> int | None:
        return self._ttl_seconds if kind in self.hears else None


class KeepAlive(Never):
    """Refreshes a conversation up to a fixed number of times after each request."""

    wakes = True

    def __init__(self, refreshes: int) -> None:
        super().__init__()
        self.name = f"keepalive-{refreshes}"
        self._refreshes = refreshes

    def on_wake(self, view: View) -> int | None:
        return self._ttl_seconds if view.touches < self._refreshes else None


def fixed_policy(name: str) -> Policy:
    """The policy with this name on the command line; raises `ValueError` for an unknown name."""
    if name.startswith("keepalive-") and name.removeprefix("keepalive-").isdigit():
        return KeepAlive(int(name.removeprefix("keepalive-")))
    makers: dict[str, Callable[[], Policy]] = {
        "never": Never,
        "1h": OneHour,
        "always-on-typing": lambda: WarmOn("always-on-typing", Sign.TYPING),
        "on-open": lambda: WarmOn("on-open", Sign.OPEN),
    }
    if name not in makers:
        raise ValueError(f"There is no policy {name!r}.")
    return makers[name]()
