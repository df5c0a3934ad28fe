"""The words of the core's closed sets as people read them: translated, where the project has a translation."""

from collections.abc import Iterable

from django.utils.functional import Promise
from django.utils.translation import gettext, gettext_lazy

from warmcache.core.failures import Failure
from warmcache.core.reasons import Reason
from warmcache.core.wording import Worded

_WORDS = {str(member): member.words for kind in (Failure, Reason) for member in kind}


def reason_text(stored: str) -> str:
    """Why something was not warmed, or failed, for the operator. A word of an older version is shown as written."""
    return gettext(_WORDS[stored]) if stored in _WORDS else stored.replace("_", " ")


def choices_of(kind: Iterable[Worded]) -> list[tuple[str, str | Promise]]:
    """For a field of a model or form."""
    return [(str(member), gettext_lazy(member.words)) for member in kind]
