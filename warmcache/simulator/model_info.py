"""The Models API: what `GET /v1/models` says about each documented model."""

from typing import Any

from warmcache.core.catalog import KNOWN_MODELS, ModelFacts
from warmcache.simulator.errors import ApiError, invalid
from warmcache.simulator.validation import EFFORTS

_LINES = ("haiku", "sonnet", "opus", "fable", "mythos")
_DEPRECATED = {"claude-sonnet-4-5": "2026-11-30", "claude-sonnet-4-5-20250929": "2026-11-30"}
_MAX_PAGE = 1000


def model_info(facts: ModelFacts) -> dict[str, Any]:
    """One model as the API describes it."""
    retires = _DEPRECATED.get(facts.model)
    return {
        "type": "model",
        "id": facts.model,
        "display_name": _display_name(facts.model),
        "created_at": f"{facts.released or '1970-01-01'}T00:00:00Z",
        "line": next((line for line in _LINES if line in facts.model), None),
        "lifecycle": "deprecated" if retires else "active",
        "deprecated_at": None,
        "retires_at": f"{retires}T00:00:00Z" if retires else None,
        "max_input_tokens": facts.context_tokens,
        "max_tokens": facts.max_output_tokens,
        "capabilities": _capabilities(facts),
    }


def find_model(model: str) -> dict[str, Any]:
    """One model by id, or a 404."""
    if model not in KNOWN_MODELS:
        raise ApiError(404, f"model: {model}")
    return model_info(KNOWN_MODELS[model])


def model_page(query: dict[str, str], lifecycles: list[str]) -> dict[str, Any]:
    """A page of the list, newest first; `limit`, `after_id` and `before_id` as the API takes them."""
    wanted = lifecycles or ["active", "deprecated"]
    models = [model_info(facts) for facts in KNOWN_MODELS.values()]
    models = [model for model in models if model["lifecycle"] in wanted]
    ids = [model["id"] for model in models]
    limit = _limit(query.get("limit", "20"))
    if "before_id" in query:
        end = _position(ids, query["before_id"], "before_id")
        start = max(0, end - limit)
        has_more = start > 0
    else:
        start = _position(ids, query["after_id"], "after_id") + 1 if "after_id" in query else 0
        end = start + limit
        has_more = end < len(models)
    page = models[start:end]
    return {
        "data": page,
        "has_more": has_more,
        "first_id": page[0]["id"] if page else None,
        "last_id": page[-1]["id"] if page else None,
    }


def _limit(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= _MAX_PAGE:
        raise invalid(f"limit: Input should be a whole number from 1 to {_MAX_PAGE}")
    return int(text)


def _position(ids: list[str], model: str, name: str) -> int:
    if model not in ids:
        raise invalid(f"{name}: no such model: {model}")
    return ids.index(model)


def _display_name(model: str) -> str:
    line, *version = model.removeprefix("claude-").split("-")
    number = ".".join(part for part in version if len(part) < 8)
    return f"Claude {line.title()} {number}".strip()


def _capabilities(facts: ModelFacts) -> dict[str, Any]:
    yes = {"supported": True}
    modes = ("adaptive", "between_tools", "disabled", "enabled")
    return {
        "batch": yes,
        "citations": yes,
        "code_execution": yes,
        "context_management": yes,
        "effort": {
            "supported": bool(facts.efforts),
            **{effort: {"supported": effort in facts.efforts} for effort in EFFORTS},
        },
        "image_input": yes,
        "pdf_input": yes,
        "server_tools": {"supported": False, "web_search": {"supported": False}, "code_execution": yes},
        "structured_outputs": yes,
        "thinking": {
            "supported": True,
            "types": {mode: {"supported": mode in facts.thinking} for mode in modes},
        },
    }
