"""Cleans text from outside, so that databases and frames can carry it."""

from collections.abc import Mapping
from typing import Any


def storable(text: str) -> str:
    """Replaces NUL and lone surrogates, which no database and no frame can carry, by the replacement character."""
    text = text.replace("\0", "\ufffd")
    # ASCII is the common case on the way of every token, and has no surrogates.
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def storable_json(value: Any) -> Any:
    """Does the same for each text in a JSON value."""
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, Mapping):
        return {storable(name): storable_json(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [storable_json(inner) for inner in value]
    return value
