"""Keeps what people write out of the log, at every level: ids, sizes, codes and the names of errors may be in it.

Libraries log requests whole at DEBUG and quote values in their exceptions. So their records below WARNING are dropped
whatever LOG_LEVEL says, and of an exception only those words are logged that cannot quote a value.
"""

import logging
import re
import sys
import traceback
from collections.abc import ItemsView, Iterator
from types import TracebackType
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, DataError, InterfaceError
from django.views.debug import SafeExceptionReporterFilter

OURS = ("chatapp", "warmcache")
MAX_FOREIGN_CHARS = 300
TOKEN_PATH = re.compile(r"(/(?:sign-in|shared|accounts/invitations)/)[^/\s]+")
WITHHELD = "(its words are withheld: they may quote what people wrote)"

WITHOUT_VALUES = (
    OSError,
    ImportError,
    NameError,
    AttributeError,
    TypeError,
    RuntimeError,
    AssertionError,
    ImproperlyConfigured,
    InterfaceError,
)
"""What these say is about names, types and addresses. `ValueError` and `KeyError`, for example, quote the value."""

PACKAGES_WITHOUT_VALUES = ("chatapp.", "warmcache.", "redis.", "aiohttp.", "httpx2.", "httpcore2.")


class NoContent(logging.Filter):
    """For handlers, so that no logger's own level or handler gets around it."""

    def filter(self, record: logging.LogRecord) -> bool:
        is_ours = record.name.partition(".")[0] in OURS
        if not is_ours and record.levelno < logging.WARNING:
            return False
        record.exc_text = None
        if isinstance(record.args, tuple):
            record.args = tuple(words_of(each) if isinstance(each, BaseException) else each for each in record.args)
        if isinstance(record.msg, BaseException):
            record.msg = words_of(record.msg)
        message = record.getMessage()
        if message.startswith("Traceback ") and not record.exc_info:
            # Formatted by the caller, with everything that the exception says.
            record.exc_info, message = sys.exc_info(), "failed"
        if not is_ours:
            # Further lines are representations of tasks and arguments.
            message = message.partition("\n")[0][:MAX_FOREIGN_CHARS]
        record.msg, record.args = TOKEN_PATH.sub(r"\1...", message), None
        return True


class NoContentFormatter(logging.Formatter):
    """Prints tracebacks with the source lines, which hold no values, and with `words_of` each exception."""

    def formatException(self, ei: Any) -> str:  # noqa: N802 - the name of the base class
        error: BaseException | None = ei[1]
        return "" if error is None else "\n".join(_lines_of(error, set()))


class NoContentReports(SafeExceptionReporterFilter):
    """The page of DEBUG shows where it failed, and none of the values there."""

    def is_active(self, request: Any) -> bool:
        return True

    def get_post_parameters(self, request: Any) -> dict[str, Any]:
        return {}

    def get_traceback_frame_variables(self, request: Any, tb_frame: Any) -> ItemsView[str, Any]:
        return dict.fromkeys(tb_frame.f_locals, self.cleansed_substitute).items()


def words_of(error: BaseException) -> str:
    """The type of an exception, and what it says where that cannot quote a value."""
    kind = type(error).__qualname__
    if isinstance(error, DatabaseError) and not isinstance(error, DataError):
        # PostgreSQL quotes rows in the lines after the first.
        return f"{kind}: {str(error).partition(chr(10))[0]}"
    if isinstance(error, WITHOUT_VALUES) or type(error).__module__.startswith(PACKAGES_WITHOUT_VALUES):
        return f"{kind}: {error}"
    return f"{kind} {WITHHELD}" if str(error) else kind


def _lines_of(error: BaseException, seen: set[int]) -> Iterator[str]:
    seen.add(id(error))
    earlier = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if earlier is not None and id(earlier) not in seen:
        yield from _lines_of(earlier, seen)
        yield "which led to"
    yield from _frames_of(error.__traceback__)
    yield words_of(error)
    if isinstance(error, BaseExceptionGroup):
        for part in error.exceptions:
            yield from _lines_of(part, seen)


def _frames_of(frames: TracebackType | None) -> Iterator[str]:
    if frames is not None:
        yield "Traceback (most recent call last):"
        for frame in traceback.format_tb(frames):
            yield frame.rstrip("\n")
