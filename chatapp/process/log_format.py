"""The log as one JSON object a line, for machines: when, what, and the ids of `chatapp.log_context`.

By the standard library, not structlog: most records come from Django, Daphne and other libraries, and are of the
standard library whoever writes ours. What any record may say has to be decided in one place for all of them, in
`log_privacy`, a filter and a formatter of handlers; a second way in would have to be kept as tight as that one. The ids
that structlog would bind are `log_context`, and the JSON is a dozen lines.
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
