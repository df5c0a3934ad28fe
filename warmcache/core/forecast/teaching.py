"""What forecasts are told, and when: one code for the app and for the replay of recorded traffic.

A forecast that hears of returns alone promises returns that never come. So silences that are still going on are told
too, at fixed lengths: at the decisions whether to refresh, and further on. Because the lengths are fixed, whoever hears
of a return knows what was told of its silence before, without asking anybody, and no second is told twice.
"""

from bisect import bisect_right

from warmcache.core.forecast.forecasts import Forecasts
from warmcache.core.ttl import LONG_TTL_SECONDS, REFRESH_AT_FRACTION, SHORT_TTL_SECONDS

_REFRESH_SECONDS = REFRESH_AT_FRACTION * SHORT_TTL_SECONDS

SILENCE_CHECKPOINTS: tuple[float, ...] = tuple(
    sorted(
        {
            *(_REFRESH_SECONDS * n for n in range(1, 7)),
            REFRESH_AT_FRACTION * LONG_TTL_SECONDS,
            *(600.0, 1800.0, 5400.0),
            *(10_800.0, 21_600.0, 43_200.0, 86_400.0),
        }
    )
)
"""Lengths in seconds at which a silence that is still going on is told: the refreshes of half an hour, that of an entry
that lives for an hour, and on to a day."""


def told_until(seconds: float) -> float:
    """How much of a silence of this length had been told before its end."""
    passed = bisect_right(SILENCE_CHECKPOINTS, seconds)
    return SILENCE_CHECKPOINTS[passed - 1] if passed else 0.0


def teach_silence(forecasts: Forecasts, checkpoint: int, *, asked_tool: bool, count: int = 1) -> None:
    """So many silences have lasted until this checkpoint (its number)."""
    since = SILENCE_CHECKPOINTS[checkpoint - 1] if checkpoint else 0.0
    silence = forecasts.silence(asks_tool=asked_tool)
    silence.observe(SILENCE_CHECKPOINTS[checkpoint], returned=False, since=since, count=count)


def teach_open_end(forecasts: Forecasts, seconds: float, *, asked_tool: bool) -> None:
    """A silence was going on after so many seconds, and nothing will be heard of it any more."""
    forecasts.silence(asks_tool=asked_tool).observe(seconds, returned=False, since=told_until(seconds))


def teach_return(forecasts: Forecasts, seconds: float, *, asked_tool: bool) -> None:
    """A silence ended after so many seconds: somebody came back."""
    forecasts.silence(asks_tool=asked_tool).observe(seconds, returned=True, since=told_until(seconds))


def teach_arrival(forecasts: Forecasts, seconds: float) -> None:
    """A request came so many seconds after the one before it, whoever sent them."""
    forecasts.arrivals.observe(max(0.0, seconds), returned=True)


def teach_request(forecasts: Forecasts, *, kept_share: float | None, asks_tool: bool | None) -> None:
    """A request began with this share of what was left warm for it, and its reply asks for a tool; None: unknown."""
    if asks_tool is not None:
        forecasts.tool_use.observe(float(asks_tool))
    if kept_share is not None:
        forecasts.kept.observe(kept_share)


def teach_history(
    forecasts: Forecasts, *, asked_tool: bool, reply_tokens: int, keeps_prompt: bool, keeps_reply: bool
) -> None:
    """What became of a prompt and its reply in the next prompt of the same place."""
    forecasts.keeps_prompt[asked_tool].observe(float(keeps_prompt))
    forecasts.keeps_reply[asked_tool].observe(float(keeps_reply))
    forecasts.reply_tokens.observe(float(reply_tokens))
