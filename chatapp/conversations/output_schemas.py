"""The JSON schema of an assistant's answers: what an operator may write, and whether an answer fits it.

A strict tool takes such answers, and for that the provider turns the schema into a grammar: every object says which
members it has. Nothing is fetched for a schema, and no regular expression of one is run here: the provider keeps them.

`jsonschema` is imported where it is used: most processes never see a schema, and its import takes as long as a page.
"""

import json
from collections.abc import Iterator
from typing import Any

from django.utils.translation import gettext

from warmcache.core.prefix import Json

MAX_BYTES = 32 * 1024
MAX_DEPTH = 10
MAX_PROBLEM_CHARS = 300
_NOT_RUN = ("pattern", "patternProperties", "format")


def problem_of_schema(schema: Any) -> str | None:
    """Why this cannot be the schema of an answer, in a sentence for the operator; None if it can."""
    from jsonschema import Draft202012Validator  # noqa: PLC0415
    from jsonschema.exceptions import SchemaError  # noqa: PLC0415

    if not isinstance(schema, dict):
        return gettext("A schema is a JSON object.")
    if len(json.dumps(schema, ensure_ascii=False).encode("utf-8", "surrogatepass")) > MAX_BYTES:
        return gettext("A schema may have at most %(kb)d KB.") % {"kb": MAX_BYTES // 1024}
    if _depth_of(schema) > 4 * MAX_DEPTH:
        return gettext("A schema may be at most %(depth)d levels deep.") % {"depth": MAX_DEPTH}
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        return gettext("This is no JSON schema: %(why)s") % {"why": _shortened(error.message)}
    if schema.get("type") != "object":
        return gettext('The answer must be an object: the schema begins with "type": "object".')
    return next(_problems_of(schema, gettext("the schema")), None)


def problem_of_answer(schema: Json, answer: Any) -> str | None:
    """Why this answer does not fit the schema, in a sentence for the model; None if it does."""
    from jsonschema import Draft202012Validator, validators  # noqa: PLC0415
    from referencing import Registry  # noqa: PLC0415
    from referencing.exceptions import Unresolvable  # noqa: PLC0415

    without = dict.fromkeys(_NOT_RUN, _accept)
    validator = validators.extend(Draft202012Validator, without)(schema, registry=Registry())
    try:
        error = next(validator.iter_errors(answer), None)
    except (Unresolvable, RecursionError):
        return "The schema refers to something that it does not have."
    if error is None:
        return None
    place = "/".join(map(str, error.absolute_path))
    return f"{place or 'The answer'}: {_shortened(error.message)}"


def _accept(*_: Any) -> Iterator[Any]:
    return iter(())


def _depth_of(value: Any) -> int:
    """Stops at the depth that is refused anyway."""
    depth, level = 0, [value]
    while level and depth <= 4 * MAX_DEPTH:
        depth += 1
        level = [
            inner
            for each in level
            for inner in (each.values() if isinstance(each, dict) else each if isinstance(each, list) else ())
        ]
    return depth


def _problems_of(schema: Any, where: str) -> Iterator[str]:
    """What JSON Schema allows and a strict tool does not."""
    if not isinstance(schema, dict):
        return
    reference = schema.get("$ref")
    if isinstance(reference, str) and not reference.startswith("#"):
        told = gettext("%(where)s: $ref may only name a part of the same schema, beginning with #.")
        yield told % {"where": where}
    kinds = schema.get("type")
    is_object = kinds == "object" or (isinstance(kinds, list) and "object" in kinds) or "properties" in schema
    if is_object and schema.get("additionalProperties") is not False:
        told = gettext('%(where)s: an object needs "additionalProperties": false, so that its members are known.')
        yield told % {"where": where}
    for name in ("properties", "$defs", "definitions"):
        for member, inner in (schema.get(name) or {}).items():
            yield from _problems_of(inner, f"{where}, {member}")
    for name in ("items", "anyOf", "allOf", "oneOf"):
        found = schema.get(name)
        for inner in found if isinstance(found, list) else [found]:
            yield from _problems_of(inner, f"{where}, {name}")


def _shortened(text: str) -> str:
    return text if len(text) <= MAX_PROBLEM_CHARS else f"{text[:MAX_PROBLEM_CHARS]}…"
