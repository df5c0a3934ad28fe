"""After each answer of a reply: who answers the tools that it calls, and whether the reply goes on in another request.

Bounded in requests (by `replies/rounds.py`) and in seconds. Before the last request the model is told that it is.
"""

import asyncio
import json
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from chatapp.conversations import output_schemas
from chatapp.conversations.toolbox import ANSWER, ANSWER_TOOL, NOTE, Toolbox
from chatapp.replies.tools.calls import Call, calls_in, result, results_of
from chatapp.replies.tools.mcp_calls import McpCalls
from warmcache.core.prefix import Json

MAX_SECONDS = 180.0
"""After this time of a reply there is only one more request, for the answer. Waiting for a person does not count."""

ACCEPTED = "The person sees this answer now."
ANSWERED_ALREADY = "Not run: the answer was given in the same turn."
NOT_ACCEPTED = "The answer does not fit the schema, and was not accepted. {problem}"
ASK_AGAIN = f"Your answer must be given to the tool `{ANSWER_TOOL}`, not as text. Call it now with the same answer."
LAST_REQUEST = "No more tools are run for this answer. Answer now with what you have."
LAST_REQUEST_STRUCTURED = f"No more tools are run for this answer. Call `{ANSWER_TOOL}` now with what you have."

_FENCED = re.compile(r"```[a-z]*\n(.*?)```", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What follows an answer. `added` are blocks for the reply's row, `calls` are still to be run."""

    goes_on: bool = False
    added: Sequence[dict[str, Any]] = ()
    calls: Sequence[Call] = ()


END = Step()


class ToolLoop:
    """Of one reply."""

    def __init__(
        self, toolbox: Toolbox, *, mcp: McpCalls | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._toolbox = toolbox
        self._mcp = mcp
        self._clock = clock
        self._began_at = clock()
        self._may_correct = True
        """A wrong answer is sent back once."""
        self._was_last = False

    def concerns(self, stop_reason: str | None) -> bool:
        """Whether `after` has anything to do with an answer that ended so."""
        has_schema = self._toolbox.output_schema is not None
        return (stop_reason == "tool_use" and (has_schema or not self._toolbox.is_empty)) or (
            stop_reason == "end_turn" and has_schema
        )

    async def after(self, said: Sequence[Json], *, has_room: bool) -> Step:
        """`said`: what the last answer has, as the API has it. `has_room`: there may be another request."""
        calls = calls_in(said)
        may_go_on = has_room and not self._was_last
        if not any(self._toolbox.takes(call.name) for call in calls):
            is_text = not calls and self._toolbox.output_schema is not None
            return await self._after_text(said, may_go_on=may_go_on) if is_text else END
        answer = next((call for call in calls if call.name == ANSWER_TOOL and self._toolbox.takes(call.name)), None)
        if answer is None:
            return Step(goes_on=True, calls=calls) if may_go_on else END
        others = [call for call in calls if call is not answer]
        problem = await self._problem_of(answer.input)
        if problem is not None and self._corrects(may_go_on):
            refusal = result(answer, NOT_ACCEPTED.format(problem=problem), is_error=True)
            return Step(goes_on=True, added=[refusal], calls=others)
        told = (
            result(answer, ACCEPTED)
            if problem is None
            else result(answer, NOT_ACCEPTED.format(problem=problem), is_error=True)
        )
        return Step(added=[told, *(result(call, ANSWERED_ALREADY, is_error=True) for call in others)])

    async def run(self, calls: Sequence[Call], *, is_last: bool) -> list[dict[str, Any]]:
        """The results, and with them a note if the next request is the last one."""
        results = await results_of(calls, self._toolbox, self._mcp)
        waited = self._mcp.waited_seconds if self._mcp is not None else 0.0
        self._was_last = is_last or self._clock() - self._began_at - waited > MAX_SECONDS
        if self._was_last:
            is_structured = self._toolbox.output_schema is not None
            results.append(_note(LAST_REQUEST_STRUCTURED if is_structured else LAST_REQUEST))
        return results

    async def _after_text(self, said: Sequence[Json], *, may_go_on: bool) -> Step:
        for value in _objects_in("".join(block["text"] for block in said if block.get("type") == "text")):
            if await self._problem_of(value) is None:
                return Step(added=[{"type": ANSWER, "answer": value}])
        return Step(goes_on=True, added=[_note(ASK_AGAIN)]) if self._corrects(may_go_on) else END

    def _corrects(self, may_go_on: bool) -> bool:
        is_first, self._may_correct = self._may_correct, False
        return is_first and may_go_on

    async def _problem_of(self, value: Any) -> str | None:
        return await asyncio.to_thread(output_schemas.problem_of_answer, self._toolbox.output_schema or {}, value)


def _note(text: str) -> dict[str, Any]:
    return {"type": NOTE, "text": text}


def _objects_in(text: str) -> list[dict[str, Any]]:
    """The JSON objects that a text may consist of: all of it, or what it has fenced as code."""
    found = []
    for piece in (text, *_FENCED.findall(text)):
        try:
            value = json.loads(piece)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict):
            found.append(value)
    return found
