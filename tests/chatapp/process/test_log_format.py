"""The log for machines: one object a line, with the ids of what it is about."""

import asyncio
import json
import logging
import sys
from contextvars import Context

from chatapp import log_context
from chatapp.process.log_format import JsonFormatter
from warmcache.background.database import in_database_thread

CANARY = "yellow-canary-7431"


def formatted(**known) -> dict:
    record = logging.LogRecord("chatapp.tests", logging.WARNING, __file__, 1, "It is %s", ("late",), None)
    record.__dict__.update(known)
    line = JsonFormatter().format(record)
    assert "\n" not in line
    return json.loads(line)


def test_a_line_tells_when_where_and_what():
    # A context of its own: another test's request may have left its ids in this one.
    told = Context().run(formatted, created=0.0, fields={"status": 200})

    assert told == {
        "time": "1970-01-01T00:00:00.000+00:00",
        "level": "warning",
        "logger": "chatapp.tests",
        "event": "It is late",
        "status": 200,
    }


def test_a_traceback_is_in_it_without_values():
    try:
        raise ValueError(CANARY)
    except ValueError:
        told = formatted(exc_info=sys.exc_info())

    assert "ValueError (its words are withheld" in told["traceback"]
    assert CANARY not in told["traceback"]


async def test_ids_go_with_the_work_into_tasks_and_database_threads_and_to_no_other_work():
    async def work(reply: int) -> tuple[dict, dict]:
        log_context.bind(reply=reply)
        await asyncio.sleep(0)
        return formatted(), await in_database_thread(formatted)

    log_context.bind(request="r1")
    first, second = await asyncio.gather(work(1), work(2))

    assert [(told["request"], told["reply"]) for told in (*first, *second)] == [
        ("r1", "1"),
        ("r1", "1"),
        ("r1", "2"),
        ("r1", "2"),
    ]
    assert "reply" not in formatted()
