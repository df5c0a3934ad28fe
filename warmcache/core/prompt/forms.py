"""The forms in which hosts write content: the SDK's, and ours. Whatever is neither is refused in a sentence."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from warmcache.core.prompt.values import Content, Json, LastTurn, Message, Prompt, Turn

ROLES = ("user", "assistant")

SAMPLING = ("temperature", "top_p", "top_k")
"""The API version that is in use refuses them at any value."""

OWNED = frozenset(
    {
        *("model", "messages", "system", "tools", "thinking", "output_config", "tool_choice", "speed"),
        *("max_tokens", "stream", "cache_control", "diagnostics", "container", "stop_sequences", "metadata"),
    }
)
"""Members of the body that are set from other arguments, or here."""


def blocks_of(content: Content, *, where: str) -> tuple[Json, ...]:
    """Content blocks as the API takes them. A text is one block of text, and an empty one is none."""
    if isinstance(content, str):
        return ({"type": "text", "text": content},) if content else ()
    if isinstance(content, Mapping) or not isinstance(content, Iterable):
        raise TypeError(f"{where} is a text or a list of content blocks, not one {type(content).__name__}.")
    return tuple(_mapping(block, where=f"each block of {where}") for block in content)


def turn_of(message: Message, *, where: str = "history") -> Turn:
    """A turn of ours, or a message as the SDK's `messages` has it."""
    if isinstance(message, Turn):
        return message
    told = _mapping(message, where=f"each message of {where}")
    role, content = told.get("role"), told.get("content")
    if role not in ROLES or content is None:
        raise ValueError(f"Each message of {where} has a role, user or assistant, and a content, not {sorted(told)}.")
    return Turn(role=role, blocks=blocks_of(content, where=where))


def last_turn_of(last: LastTurn) -> Turn:
    """What a request ends with."""
    if isinstance(last, Turn):
        return last
    if isinstance(last, Mapping):
        return turn_of(last, where="the turn")
    return Turn(role="user", blocks=blocks_of(last, where="the turn"))


def tools_of(tools: Sequence[Json]) -> tuple[Json, ...]:
    if isinstance(tools, str | Mapping):
        raise TypeError(f"tools is a list of tool definitions, not one {type(tools).__name__}.")
    return tuple(_mapping(tool, where="each tool") for tool in tools)


def check_settings(prompt: Prompt) -> None:
    """Refuses what no row could hold, and what may not be set past us."""
    if not isinstance(prompt.model, str) or not prompt.model or len(prompt.model) > 80 or "\0" in prompt.model:
        raise ValueError(f"A model is a name of at most 80 characters, not {str(prompt.model)[:100]!r}.")
    for name in prompt.extra_body or ():
        refuse_sampling(name)
        if name in OWNED:
            raise ValueError(f"extra_body may not set `{name}`: it is set from an argument, or by warmcache itself.")


def refuse_unknown(arguments: Mapping[str, Any]) -> None:
    """For arguments that a function has not: those that the SDK once had get a sentence."""
    for name in arguments:
        refuse_sampling(name)
        raise TypeError(f"There is no argument {name!r}. What else the body is to hold: Prompt(extra_body=...).")


def refuse_sampling(name: str) -> None:
    if name in SAMPLING:
        raise TypeError(f"`{name}` is not sent: this version of the Messages API refuses {', '.join(SAMPLING)}.")


def _mapping(value: Any, *, where: str) -> Json:
    if isinstance(value, Mapping):
        return value
    to_dict = getattr(value, "to_dict", None)  # of the SDK's own objects, such as an answer's content
    if to_dict is None:
        raise TypeError(f"{where} is a dict, not {type(value).__name__}.")
    made: Json = to_dict()
    return made
