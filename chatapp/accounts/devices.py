"""What a browser calls itself, in two words that a person recognises."""

from django.utils.translation import gettext, gettext_noop

BROWSERS = (
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser", "Samsung Internet"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
)
SYSTEMS = (
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("CrOS", "ChromeOS"),
    ("Windows", "Windows"),
    ("Mac OS X", "Mac"),
    ("Linux", "Linux"),
)
"""In this order: some call themselves what comes further down, too."""


UNKNOWN = gettext_noop("An unknown device")


def words_for(user_agent: str) -> str:
    """As it is stored, in English."""
    browser = _first(BROWSERS, user_agent)
    system = _first(SYSTEMS, user_agent)
    if browser and system:
        return f"{browser} on {system}"
    return browser or system or UNKNOWN


def told(stored: str) -> str:
    """The same in the language of the page."""
    browser, on, system = stored.partition(" on ")
    return gettext("%(browser)s on %(system)s") % {"browser": browser, "system": system} if on else gettext(stored)


def _first(marks: tuple[tuple[str, str], ...], user_agent: str) -> str:
    return next((words for mark, words in marks if mark in user_agent), "")
