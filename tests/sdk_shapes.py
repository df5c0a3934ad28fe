"""Examples of what the official client's types name: every member of its unions, walked by `typing`, none by hand."""

import types
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

MAX_DEPTH = 5
"""Below that one example of a union is enough: tool definitions inside of compactions, for example."""


def members_of(union: Any) -> list[Any]:
    """The members of a union, however it is nested and annotated."""
    origin = get_origin(union)
    if origin is Annotated:
        return members_of(get_args(union)[0])
    if origin is Union or isinstance(union, types.UnionType):
        return [member for part in get_args(union) for member in members_of(part)]
    return [union]


def type_of(model: type[BaseModel]) -> str:
    """The value of a model's `type`."""
    name: str = get_args(model.model_fields["type"].annotation)[0]
    return name


def examples(kind: Any, name: str = "x", depth: int = 0) -> list[Any]:
    """JSON values of this type; together they show every alternative in it."""
    if depth > MAX_DEPTH:
        return examples_of_one(kind, name, depth)[:1]
    return [example for member in members_of(kind) for example in examples_of_one(member, name, depth)]


def examples_of_one(kind: Any, name: str, depth: int) -> list[Any]:
    kind = members_of(kind)[0]
    origin = get_origin(kind)
    if origin is Literal:
        return list(get_args(kind))
    if origin is list:
        inner = examples(get_args(kind)[0], name, depth + 1)
        return [inner, []]
    if origin is dict or kind is object or kind is Any:
        return [{"query": "é 🙂", "numbers": [1, 2.5, None], "deep": {"a": ["b"]}}]
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return list(_models(kind, depth))
    plain: dict[Any, list[Any]] = {
        str: [f"{name} é🙂"],
        int: [7],
        float: [2.5],
        bool: [True, False],
        type(None): [None],
        datetime: ["2026-11-28T12:00:00Z"],
    }
    return plain[kind]


def _models(model: type[BaseModel], depth: int) -> Iterator[dict[str, Any]]:
    fields = {
        field.alias or name: examples(field.annotation, name, depth + 1) for name, field in model.model_fields.items()
    }
    for number in range(max(len(values) for values in fields.values())):
        yield {name: values[number % len(values)] for name, values in fields.items()}
