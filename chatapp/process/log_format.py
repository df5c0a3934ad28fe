"""The log as one JSON object a line, for machines: when, what, and the ids of `chatapp.log_context`.

The standard library does it: the records come from Django and libraries all the same, and what they may say is decided
by `log_privacy`, which is a filter and a formatter of the standard library.
"""

import json
import logging
from datetime import UTC, datetime
from typing import Any

from chatapp import log_context
from chatapp.process.log_privacy import NoContentFormatter


class JsonFormatter(NoContentFormatter):
    """A record's `fields`, given as `extra={"fields": {...}}`, stand beside the words."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, tz=UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
            **log_context.bound(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)
