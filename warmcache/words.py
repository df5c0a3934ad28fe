"""Reasons and failures as people read them: translated, if the project has a translation."""

from django.utils.translation import gettext

from warmcache.core.failures import Failure
from warmcache.core.reasons import Reason

_WORDS = {str(member): member.words for kind in (Failure, Reason) for member in kind}


def reason_text(stored: str) -> str:
    """Why a warm-up was skipped or failed, for the operator. An unknown stored word is shown as it is."""
    return gettext(_WORDS[stored]) if stored in _WORDS else stored.replace("_", " ")
