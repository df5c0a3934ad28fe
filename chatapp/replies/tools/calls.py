"""One answer's calls of tools, and their results as the API takes them back."""

import asyncio
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils import timezone

from chatapp.conversations import document_search
from chatapp.conversations.toolbox import RESULT, Toolbox
from chatapp.models import OwnTool
from chatapp.replies.tools import calculator, clock
from chatapp.replies.tools.mcp_calls import McpCalls, Unanswered
from warmcache.background.database import in_database_thread
from warmcache.core.prefix import Json

logger = logging.getLogger(__name__)

MAX_CALLS = 8
"""Of one answer that are run; the others get an error."""
CALL_SECONDS = 10.0

NOTHING_FOUND = "No passage of the documents has any of these words."
FAILED = "The tool failed. Go on without it."
TOO_LONG = "The tool took too long and was given up. Go on without it."
TOO_MANY = f"Not run: at most {MAX_CALLS} calls are run at once."
UNKNOWN = "This chat cannot run such a tool."


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    id: str
    name: str
    input: Json
    """As the model wrote it: nobody has checked that it fits the tool's schema."""


class Refused(ValueError):
    """Why a call has no result, in a sentence for the model."""


def calls_in(content: Iterable[Json]) -> list[Call]:
    """The calls that the host is to answer, in order, without those that broke off."""
    return [
        Call(id=str(block["id"]), name=str(block["name"]), input=block["input"])
        for block in content
        if block.get("type") == "tool_use" and isinstance(block.get("input"), dict)
    ]


async def results_of(calls: Sequence[Call], toolbox: Toolbox, mcp: McpCalls | None = None) -> list[dict[str, Any]]:
    """Runs them at the same time. A tool's failure is its result."""
    running = (_result_of(call, toolbox, mcp) for call in calls[:MAX_CALLS])
    refused = (result(call, TOO_MANY, is_error=True) for call in calls[MAX_CALLS:])
    return [*await asyncio.gather(*running), *refused]


def result(call: Call, *texts: str, is_error: bool = False) -> dict[str, Any]:
    content = [{"type": "text", "text": text} for text in texts]
    told = {"type": RESULT, "tool_use_id": call.id, "content": content}
    return {**told, "is_error": True} if is_error else told


async def _result_of(call: Call, toolbox: Toolbox, mcp: McpCalls | None) -> dict[str, Any]:
    if mcp is not None and call.name in toolbox.mcp:
        return await _result_of_mcp(call, toolbox.mcp[call.name], mcp)
    if call.name not in toolbox.own:
        return result(call, UNKNOWN, is_error=True)
    try:
        async with asyncio.timeout(CALL_SECONDS):
            return result(call, *await _run(call, toolbox))
    except Refused as refused:
        return result(call, str(refused), is_error=True)
    except TimeoutError:
        logger.warning("The tool %s took longer than %.0f s", call.name, CALL_SECONDS)
        return result(call, TOO_LONG, is_error=True)
    except Exception:
        logger.exception("The tool %s failed", call.name)
        return result(call, FAILED, is_error=True)


async def _result_of_mcp(call: Call, tool_id: int, mcp: McpCalls) -> dict[str, Any]:
    """Its own time counts there, because a person may be asked first."""
    try:
        answered = await mcp.run(call.id, call.input, tool_id)
    except Unanswered as unanswered:
        return result(call, str(unanswered), is_error=True)
    except Exception:
        logger.exception("A call of the tool %s failed", call.name)
        return result(call, FAILED, is_error=True)
    return result(call, *answered.texts, is_error=answered.is_error)


async def _run(call: Call, toolbox: Toolbox) -> Sequence[str]:
    match call.name:
        case OwnTool.SEARCH_DOCUMENTS:
            found = await in_database_thread(
                document_search.search, toolbox.assistant_id, _text(call, "query", is_needed=True)
            )
            return [f"{each.title}:\n{each.text}" for each in found] or [NOTHING_FOUND]
        case OwnTool.CALCULATOR:
            try:
                return [await asyncio.to_thread(calculator.calculate, _text(call, "expression", is_needed=True))]
            except calculator.Refused as refused:
                raise Refused(str(refused)) from refused
        case _:
            try:
                return [clock.told(timezone.now(), _text(call, "timezone"))]
            except clock.UnknownTimezone as unknown:
                raise Refused("There is no such time zone. Use an IANA name such as Europe/Paris.") from unknown


def _text(call: Call, name: str, *, is_needed: bool = False) -> str:
    found = call.input.get(name, "")
    if not isinstance(found, str) or (is_needed and not found.strip()):
        raise Refused(f"{call.name} needs a text as {name!r}.")
    return found
