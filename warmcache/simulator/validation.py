"""Strict 400 errors: everything about a request that the API refuses, parameter by parameter.

Wording that public reports quote (marked "seen") is used unchanged; the rest follows the same style.
"""

import re
from collections.abc import Callable, Collection
from typing import Any

from warmcache.core.catalog import KNOWN_MODELS, ModelFacts
from warmcache.simulator.breakpoint_rules import check_breakpoints, check_cache_control, check_system
from warmcache.simulator.errors import ApiError, invalid
from warmcache.simulator.message_rules import NEW_VERSION, check_messages
from warmcache.simulator.prompt import effort_of, thinking_mode

API_VERSIONS = ("2023-06-01", NEW_VERSION)
EFFORTS = ("low", "medium", "high", "xhigh", "max")
INFERENCE_GEOS = ("global", "us")
_THINKING_OFF_EFFORTS = ("low", "medium", "high")
_SAMPLING_DEFAULTS: dict[str, Any] = {"temperature": 1, "top_p": 1, "top_k": None}
_COUNT_FIELDS = frozenset(
    {"model", "messages", "system", "tools", "tool_choice", "thinking", "output_config", "cache_control"}
    | {"speed", "inference_geo", "container", "compaction", "context_management", "mcp_servers"}
    | {"service_tier", "user_profile_id"}
)
_FIELDS = _COUNT_FIELDS | {"max_tokens", "stream", "diagnostics", "stop_sequences", "metadata"}
_TOOL_NAME = re.compile(r"^[a-zA-Z0-9_-]{1,128}$")
_TOOL_CHOICES = ("auto", "any", "tool", "none")
_THREADS_BETA = "message-threads-"


def model_facts(model: Any) -> ModelFacts:
    """The facts of a model id; raises 404 for an unknown id, 400 for an invalid value."""
    if model is None:
        raise invalid("model: Field required")
    if not isinstance(model, str):
        raise invalid("model: Input should be a valid string")
    if model not in KNOWN_MODELS:
        raise ApiError(404, f"model: {model}")
    return KNOWN_MODELS[model]


def check_create(body: dict[str, Any], version: str, betas: Collection[str] = ()) -> ModelFacts:
    """Refuses an invalid `POST /v1/messages` body; returns the model's facts."""
    _check_thread(body, betas)
    _check_fields(body, _FIELDS, version)
    facts = model_facts(body.get("model"))
    _check_max_tokens(body, facts)
    _check_shared(body, facts, version)
    _check_type(body, "stream", bool, "boolean")
    _check_stop_sequences(body.get("stop_sequences"))
    _check_diagnostics(body.get("diagnostics"))
    _check_metadata(body.get("metadata"))
    if body["max_tokens"] == 0:
        _check_warm_up(body)
    return facts


def check_count(body: dict[str, Any], version: str) -> ModelFacts:
    """Refuses an invalid `POST /v1/messages/count_tokens` body; returns the model's facts."""
    _check_fields(body, _COUNT_FIELDS, version)
    facts = model_facts(body.get("model"))
    _check_shared(body, facts, version)
    return facts


def check_window(total_tokens: int, facts: ModelFacts) -> None:
    """Refuses an input that does not fit the context window."""
    if total_tokens > facts.context_tokens:
        raise invalid(f"prompt is too long: {total_tokens} tokens > {facts.context_tokens} maximum")


def _check_shared(body: dict[str, Any], facts: ModelFacts, version: str) -> None:
    if "messages" not in body:
        raise invalid("messages: Field required")
    _check_sampling(body, facts)
    check_cache_control(body.get("cache_control"), "cache_control")
    _check_tools(body.get("tools"))
    check_system(body.get("system"))
    check_messages(body["messages"], facts, version)
    _check_output_config(body.get("output_config"), facts)
    _check_inference_geo(body.get("inference_geo"), facts)
    _check_thinking(body, facts)
    _check_tool_choice(body, facts)
    if body.get("speed") not in (None, "standard", "fast"):
        raise invalid("speed: Input should be 'standard' or 'fast'")
    check_breakpoints(body, facts)


def _check_thread(body: dict[str, Any], betas: Collection[str]) -> None:
    """Threads are a beta that this simulator does not have. The official client recognises this refusal by its code
    and goes on without one; without the beta's header the field is refused as any unknown one."""
    if body.get("thread") is not None and any(beta.startswith(_THREADS_BETA) for beta in betas):
        raise ApiError(
            400,
            "thread: not supported here. Send the full conversation without `thread`.",
            error_code="thread_unsupported_request",
        )


def _check_fields(body: dict[str, Any], fields: frozenset[str], version: str) -> None:
    for key in body:
        if key in _SAMPLING_DEFAULTS and version != NEW_VERSION:
            continue
        if key not in fields:
            raise invalid(f"{key}: Extra inputs are not permitted")


def _check_sampling(body: dict[str, Any], facts: ModelFacts) -> None:
    for key, default in _SAMPLING_DEFAULTS.items():
        if not facts.allows_sampling and body.get(key) not in (None, default):
            raise invalid(f"{key}: only the default value is supported for this model")


def _check_max_tokens(body: dict[str, Any], facts: ModelFacts) -> None:
    if "max_tokens" not in body:
        raise invalid("max_tokens: Field required")
    value = body["max_tokens"]
    if not isinstance(value, int) or isinstance(value, bool):
        raise invalid("max_tokens: Input should be a valid integer")
    if value < 0:
        raise invalid("max_tokens: Input should be greater than or equal to 0")
    if value > facts.max_output_tokens:
        raise invalid(
            f"max_tokens: {value} > {facts.max_output_tokens}, "
            f"which is the maximum allowed number of output tokens for {facts.model}"
        )


def _check_type(body: dict[str, Any], key: str, kind: type, name: str) -> None:
    if body.get(key) is not None and not isinstance(body[key], kind):
        raise invalid(f"{key}: Input should be a valid {name}")


def _check_stop_sequences(sequences: Any) -> None:
    if sequences is None:
        return
    if not isinstance(sequences, list) or not all(isinstance(item, str) for item in sequences):
        raise invalid("stop_sequences: Input should be a valid list of strings")
    if not all(item.strip() for item in sequences):
        raise invalid("stop_sequences: each stop sequence must contain non-whitespace")


def _check_diagnostics(diagnostics: Any) -> None:
    if diagnostics is None:
        return
    if not isinstance(diagnostics, dict):
        raise invalid("diagnostics: Input should be a valid dictionary or object to extract fields from")
    previous = diagnostics.get("previous_message_id")
    if previous is not None and not isinstance(previous, str):
        raise invalid("diagnostics.previous_message_id: Input should be a valid string")


def _check_metadata(metadata: Any) -> None:
    if metadata is None:
        return
    if not isinstance(metadata, dict):
        raise invalid("metadata: Input should be a valid dictionary or object to extract fields from")
    for key, value in metadata.items():
        if key != "user_id":
            raise invalid(f"metadata.{key}: Extra inputs are not permitted")
        if value is not None and not isinstance(value, str):
            raise invalid("metadata.user_id: Input should be a valid string")


def _check_tools(tools: Any) -> None:
    if tools is None:
        return
    if not isinstance(tools, list):
        raise invalid("tools: Input should be a valid list")
    names: set[str] = set()
    for n, tool in enumerate(tools):
        if not isinstance(tool, dict):
            raise invalid(f"tools.{n}: Input should be a valid dictionary or object to extract fields from")
        check_cache_control(tool.get("cache_control"), f"tools.{n}.cache_control")
        _check_tool(tool, n)
        name = str(tool.get("name"))
        if name in names:
            raise invalid("tools: Tool names must be unique.")
        names.add(name)


def _check_tool(tool: dict[str, Any], n: int) -> None:
    if tool.get("type") not in (None, "custom"):
        return
    name = tool.get("name")
    if not isinstance(name, str):
        raise invalid(f"tools.{n}.custom.name: Field required")
    if not _TOOL_NAME.match(name):
        raise invalid(f"tools.{n}.custom.name: String should match pattern '{_TOOL_NAME.pattern}'")
    schema = tool.get("input_schema")
    if not isinstance(schema, dict):
        raise invalid(f"tools.{n}.custom.input_schema: Field required")
    if schema.get("type") != "object":
        raise invalid(f"tools.{n}.custom.input_schema.type: Input should be 'object'")


def _check_tool_choice(body: dict[str, Any], facts: ModelFacts) -> None:
    choice = body.get("tool_choice")
    if choice is None:
        return
    if not isinstance(choice, dict) or choice.get("type") not in _TOOL_CHOICES:
        raise invalid("tool_choice.type: Input should be 'auto', 'any', 'tool' or 'none'")
    if not body.get("tools"):
        raise invalid("tool_choice: tool_choice may only be specified while providing tools")
    if choice["type"] in ("any", "tool"):
        if not facts.allows_forced_tool_choice:
            raise invalid('tool_choice: type "tool" and "any" are not supported for this model.')
        if thinking_mode(body, facts) == "enabled":
            raise invalid("Thinking may not be enabled when tool_choice forces tool use.")
    if choice["type"] == "tool":
        names = [tool.get("name") for tool in body["tools"]]
        if choice.get("name") not in names:
            raise invalid(f"tool_choice.tool.name: Tool '{choice.get('name')}' not found in provided tools")


def _check_output_config(output_config: Any, facts: ModelFacts) -> None:
    if output_config is None:
        return
    if not isinstance(output_config, dict):
        raise invalid("output_config: Input should be a valid dictionary or object to extract fields from")
    _check_effort(output_config.get("effort"), facts)
    output_format = output_config.get("format")
    if output_format is None:
        return
    if not isinstance(output_format, dict) or output_format.get("type") != "json_schema":
        raise invalid("output_config.format.type: Input should be 'json_schema'")
    if not isinstance(output_format.get("schema"), dict):
        raise invalid("output_config.format.schema: Field required")


def _check_effort(effort: Any, facts: ModelFacts) -> None:
    """The wordings of the last two are seen."""
    if effort is None:
        return
    if effort not in EFFORTS:
        names = ", ".join(f"'{name}'" for name in EFFORTS)
        raise invalid(f"output_config.effort: Input should be one of {names}")
    if not facts.efforts:
        raise invalid("This model does not support the effort parameter.")
    if effort not in facts.efforts:
        levels = ", ".join(sorted(facts.efforts))
        raise invalid(f"This model does not support effort level '{effort}'. Supported levels: {levels}.")


def _check_inference_geo(geo: Any, facts: ModelFacts) -> None:
    if geo is None:
        return
    if not facts.allows_inference_geo:
        raise invalid("inference_geo is not supported for this model")
    if geo not in INFERENCE_GEOS:
        raise invalid("inference_geo: Input should be 'global' or 'us'")


def _check_thinking(body: dict[str, Any], facts: ModelFacts) -> None:
    thinking = body.get("thinking")
    if thinking is None:
        return
    if not isinstance(thinking, dict) or "type" not in thinking:
        raise invalid("thinking.type: Field required")
    mode = thinking["type"]
    if mode not in ("adaptive", "enabled", "disabled", "between_tools"):
        raise invalid("thinking.type: Input should be 'adaptive', 'between_tools', 'disabled' or 'enabled'")
    if mode not in facts.thinking:
        raise invalid(_unsupported_thinking(mode, facts))
    if thinking.get("display") not in (None, "summarized", "omitted"):
        raise invalid("thinking.display: Input should be 'summarized' or 'omitted'")
    _THINKING_CHECKS[mode](body, facts)


def _unsupported_thinking(mode: str, facts: ModelFacts) -> str:
    if mode == "adaptive":
        return "adaptive thinking is not supported on this model"
    if mode == "disabled" and "between_tools" in facts.thinking:
        advice = 'Use "thinking.type.between_tools" to turn off thinking ahead of the answer.'
    else:
        advice = 'Use "thinking.type.adaptive" and "output_config.effort" to control thinking behavior.'
    return f'"thinking.type.{mode}" is not supported for this model. {advice}'


def _check_manual(body: dict[str, Any], facts: ModelFacts) -> None:
    budget = body["thinking"].get("budget_tokens")
    if not isinstance(budget, int) or isinstance(budget, bool):
        raise invalid("thinking.enabled.budget_tokens: Field required")
    if budget < 1024:
        raise invalid("thinking.enabled.budget_tokens: Input should be greater than or equal to 1024")
    max_tokens = body.get("max_tokens")
    if max_tokens and budget >= max_tokens:
        raise invalid("`max_tokens` must be greater than `thinking.budget_tokens`")


def _check_adaptive(body: dict[str, Any], facts: ModelFacts) -> None:
    if body["thinking"].get("budget_tokens") is not None:
        raise invalid("thinking.adaptive.budget_tokens: Extra inputs are not permitted")


def _check_off(body: dict[str, Any], facts: ModelFacts) -> None:
    mode = thinking_mode(body, facts)
    for key in body["thinking"]:
        if key != "type":
            raise invalid(f"thinking.{mode}.{key}: Extra inputs are not permitted")
    restricted = mode == "between_tools" or facts.model == "claude-opus-5"
    if restricted and effort_of(body, facts) not in _THINKING_OFF_EFFORTS:
        raise invalid(f'"thinking.type.{mode}" requires "output_config.effort" to be high or below')


_THINKING_CHECKS: dict[str, Callable[[dict[str, Any], ModelFacts], None]] = {
    "adaptive": _check_adaptive,
    "enabled": _check_manual,
    "disabled": _check_off,
    "between_tools": _check_off,
}


def _check_warm_up(body: dict[str, Any]) -> None:
    """The documented refusals of `max_tokens: 0`; their wording is not published."""
    refused = {
        "`stream: true`": bool(body.get("stream")),
        "`thinking.type: enabled`": (body.get("thinking") or {}).get("type") == "enabled",
        "`output_config.format`": bool((body.get("output_config") or {}).get("format")),
        "`tool_choice` of type any or tool": (body.get("tool_choice") or {}).get("type") in ("any", "tool"),
        "`compaction`": bool(body.get("compaction")),
    }
    for name, present in refused.items():
        if present:
            raise invalid(f"max_tokens: 0 is not supported together with {name}")
