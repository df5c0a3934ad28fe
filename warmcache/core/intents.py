"""The occasions to consider a warm-up, and the signs of a send that have a forecast."""

from warmcache.core.wording import Worded, gettext_noop


class Intent(Worded):
    """Why a warm-up is considered. The words are those of the admin's choices."""

    OPEN = "open", gettext_noop("opened")
    TYPING = "typing", gettext_noop("typing")
    ATTACH = "attach", gettext_noop("attaching")
    TURN_FINISHED = "turn_finished", gettext_noop("turn finished")
    KEEP = "keep", gettext_noop("keep warm")
    MANUAL = "manual", gettext_noop("by hand")


WEIGHED_ELSEWHERE = frozenset({Intent.MANUAL, Intent.KEEP, Intent.TURN_FINISHED})
"""For these only the gates apply: a person asked, or the plan near expiry (`core/stakes.py`) has weighed the worth."""

ON_AT_FIRST = frozenset(Intent) - {Intent.OPEN}
"""Opening a page is too rarely followed by a message to pay off for most hosts."""


class Sign(Worded):
    """What a person does before a message, as far as forecasts cover it; the first of each kind counts."""

    OPEN = "open", gettext_noop("opened")
    TYPING = "typing", gettext_noop("typing")
    TYPING_20 = "typing_20", gettext_noop("twenty characters typed")
    ATTACH = "attach", gettext_noop("attaching")


SURE_TYPING_CHARS = 20

SURER_SIGN = {Sign.OPEN: Sign.TYPING, Sign.TYPING: Sign.TYPING_20}
"""The next sign of the same visit that is more often followed by a send."""

_SIGNS = {Intent.OPEN: Sign.OPEN, Intent.TYPING: Sign.TYPING, Intent.ATTACH: Sign.ATTACH}


def sign_of(intent: Intent, chars: int | None = None) -> Sign | None:
    """The sign of an intent with this many characters typed; None if the intent does not come from a person."""
    if intent == Intent.TYPING and chars is not None and chars >= SURE_TYPING_CHARS:
        return Sign.TYPING_20
    return _SIGNS.get(intent)


def intent_of(sign: Sign) -> Intent:
    """The intent at which a sign is considered."""
    return Intent.TYPING if sign is Sign.TYPING_20 else Intent(sign.value)
