"""A small JSON value that fits a JSON schema, for requests with `output_config.format`."""

from typing import Any

_MAX_DEPTH = 12
_WORDS_OF_A_STRING = 6


def example_of(schema: dict[str, Any], question: str) -> Any:
    """A value for `schema`; its strings are the first words of `question`, so that a title looks like one."""
    words = question.split()[:_WORDS_OF_A_STRING]
    return _value(schema, schema, " ".join(words) or "Simulated", 0)


def _value(schema: dict[str, Any], root: dict[str, Any], text: str, depth: int) -> Any:
    if "$ref" in schema:
        schema = _referenced(str(schema["$ref"]), root)
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return schema["enum"][0]
    for key in ("anyOf", "oneOf", "allOf"):
        if schema.get(key):
            return _value(schema[key][0], root, text, depth)
    kind = schema.get("type", "object" if "properties" in schema else "string")
    if isinstance(kind, list):
        kind = kind[0]
    if depth >= _MAX_DEPTH:
        return None
    if kind == "object":
        properties = schema.get("properties") or {}
        return {name: _value(child, root, text, depth + 1) for name, child in properties.items()}
    if kind == "array":
        return [_value(schema["items"], root, text, depth + 1)] if isinstance(schema.get("items"), dict) else []
    return _scalar(kind, schema, text)


def _scalar(kind: str, schema: dict[str, Any], text: str) -> Any:
    if kind in ("integer", "number"):
        return schema.get("minimum", 1)
    if kind == "boolean":
        return True
    return None if kind == "null" else text[: schema.get("maxLength", len(text))]


def _referenced(reference: str, root: dict[str, Any]) -> dict[str, Any]:
    target: Any = root
    for part in reference.removeprefix("#/").split("/"):
        target = target.get(part, {}) if isinstance(target, dict) else {}
    return target if isinstance(target, dict) else {}
