"""Reasons and failures as people read them: translated, where the project has a translation."""

from django.utils.translation import gettext

from warmcache.core.failures import Failure
from warmcache.core.reasons import Reason

_WORDS = {str(member): member.words for kind in (Failure, Reason) for member in kind}


def reason_text(stored: str) -> str:
    """Why something was not warmed, or failed, for the operator. A word of an older version is shown as written."""
    return gettext(_WORDS[stored]) if stored in _WORDS else stored.replace("_", " ")
