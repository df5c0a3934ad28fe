"""Which of the client's tools the simulated model calls, where none is forced. It is no model, so a plain rule decides:

- a tool that the question names (`look_up` also as "look up") is called. "then" parts a question: what the second part
  names is called in the second answer, once the first has its results, and so on;
- a text of its input is what stands between backticks behind the name; else what follows the name and a colon, up to a
  comma or an "and"; else the words of the question. Members that the schema does not require are left out;
- a tool that the system prompt names between backticks takes the answer: it is called at the end, once.

Whatever else a question says, nothing is called. After that, the answer quotes the results.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from warmcache.simulator.prompt import as_blocks
from warmcache.simulator.structured import example_of

MAX_QUOTED_CHARS = 300

_THEN = re.compile(r"\bthen\b", re.IGNORECASE)
_QUOTED = re.compile(r"`([^`]+)`")
_AFTER_COLON = re.compile(r"\s*:\s*(.+?)(?:,|;|\sand\s|$)", re.IGNORECASE | re.DOTALL)

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A call that is to be made."""

    tool: Json
    input: Any


def wanted_calls(body: Json, question: str) -> list[Wanted]:
    """The calls of the next answer; none where it is a text."""
    if (body.get("tool_choice") or {}).get("type") == "none":
        return []
    tools: list[Json] = [tool for tool in body.get("tools") or [] if "input_schema" in tool]
    if not tools:
        return []
    called = [block["name"] for block in _since_question(body) if block.get("type") == "tool_use"]
    answers = sum(message["role"] == "assistant" for message in _messages_since_question(body))
    parts = _THEN.split(question)
    if answers < len(parts):
        named = _named_in(parts[answers], tools)
        if named:
            return named
    taker = _taker_of(body, tools)
    if taker is None or taker["name"] in called:
        return []
    return [Wanted(tool=taker, input=example_of(taker["input_schema"], question))]


def quoted_results(body: Json) -> list[str]:
    """What the client's tools have answered since the question, each with its tool's name."""
    names: dict[str, str] = {}
    quoted = []
    for block in _since_question(body):
        if block.get("type") == "tool_use":
            names[block["id"]] = block["name"]
        elif block.get("type") == "tool_result" and block["tool_use_id"] in names:
            text = "\n".join(str(part.get("text", "")) for part in as_blocks(block.get("content") or []))
            shown = text if len(text) <= MAX_QUOTED_CHARS else f"{text[:MAX_QUOTED_CHARS]}…"
            quoted.append(f"`{names[block['tool_use_id']]}` answered: {shown}")
    return quoted


def _named_in(part: str, tools: Sequence[Json]) -> list[Wanted]:
    named = [(name, tool) for tool in tools if (name := _name_in(part, tool)) is not None]
    named.sort(key=lambda each: each[0].start())
    ends = [*(name.start() for name, _ in named), len(part)][1:]
    return [
        Wanted(tool=tool, input=_input_of(tool, part, part[name.end() : end]))
        for (name, tool), end in zip(named, ends, strict=True)
    ]


def _name_in(part: str, tool: Json) -> re.Match[str] | None:
    return re.search(rf"\b{re.escape(tool['name']).replace('_', '[_ ]')}\b", part, re.IGNORECASE)


def _input_of(tool: Json, part: str, behind: str) -> Any:
    quoted, after_colon = _QUOTED.search(behind.lstrip("`")), _AFTER_COLON.match(behind)
    said = quoted[1] if quoted else after_colon[1].strip() if after_colon else ""
    schema = tool["input_schema"]
    required = schema.get("required") or []
    needed: Mapping[str, Any] = {
        name: child for name, child in (schema.get("properties") or {}).items() if name in required
    }
    example = example_of({**schema, "properties": needed}, part)
    if not said or not isinstance(example, dict):
        return example
    return {name: said if isinstance(value, str) else value for name, value in example.items()}


def _taker_of(body: Json, tools: Sequence[Json]) -> Json | None:
    system = " ".join(str(block.get("text", "")) for block in as_blocks(body.get("system") or []))
    return next((tool for tool in tools if f"`{tool['name']}`" in system), None)


def _messages_since_question(body: Json) -> list[Json]:
    """Behind the last message in which a person says something."""
    messages: list[Json] = body["messages"]
    said = [
        place
        for place, message in enumerate(messages)
        if message["role"] == "user" and any(block.get("type") == "text" for block in as_blocks(message["content"]))
    ]
    return messages[said[-1] + 1 :] if said else []


def _since_question(body: Json) -> Iterator[Json]:
    for message in _messages_since_question(body):
        yield from as_blocks(message["content"])
