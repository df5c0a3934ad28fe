from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from warmcache.core.catalog import facts_for
from warmcache.simulator.errors import ApiError
from warmcache.simulator.prompt import read_prompt
from warmcache.simulator.validation import check_count, check_create, check_window

NEW = "2026-10-21"
OLD = "2023-06-01"
MARK = {"type": "ephemeral"}
HOUR = {"type": "ephemeral", "ttl": "1h"}
USER = {"role": "user", "content": "Hello"}
TOOL = {"name": "look_up", "input_schema": {"type": "object"}}
FORMAT = {"type": "json_schema", "schema": {"type": "object"}}
CALL = {"type": "tool_use", "id": "toolu_1", "name": "look_up", "input": {}}
RESULT = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "found"}


FOUND_5 = "A maximum of 4 blocks with cache_control may be provided. Found 5."
ORDER = (
    "a ttl='1h' cache_control block must not come after a ttl='5m' cache_control block. "
    "Note that blocks are processed in the following order: `tools`, `system`, `messages`."
)
EMPTY = "messages: text content blocks must be non-empty"
NO_EFFORT = "This model does not support the effort parameter."
BLANK = "messages: text content blocks must contain non-whitespace text"
TOO_LONG = "max_tokens: 200000 > 128000, which is the maximum allowed number of output tokens for claude-sonnet-5-5"
NO_SYSTEM_FIRST = 'messages: first message must use the "user" role'
MARKED_THINKING = {"type": "thinking", "thinking": "", "signature": "s", "cache_control": MARK}


def body(**fields: Any) -> dict[str, Any]:
    return {"model": "claude-sonnet-5-5", "max_tokens": 100, "messages": [USER], **fields}


def marked(*controls: dict[str, Any] | None) -> list[dict[str, Any]]:
    return [{"type": "text", "text": "words", "cache_control": control} for control in controls]


def user(*blocks: dict[str, Any]) -> dict[str, Any]:
    return {"role": "user", "content": list(blocks)}


def assistant(*blocks: dict[str, Any]) -> dict[str, Any]:
    return {"role": "assistant", "content": list(blocks)}


def refusal(request: dict[str, Any], version: str = NEW) -> str:
    with pytest.raises(ApiError) as caught:
        check_create(request, version)
    assert (caught.value.status, caught.value.type) == (400, "invalid_request_error")
    return caught.value.message


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"system": marked(MARK, MARK, MARK, MARK, MARK)}, FOUND_5),
        ({"system": marked(MARK, MARK, MARK, MARK), "cache_control": MARK}, FOUND_5),
        (
            {"messages": [user(*marked(MARK, None, HOUR))]},
            "messages.0.content.2.cache_control.ttl: " + ORDER,
        ),
        (
            {"tools": [{**TOOL, "cache_control": MARK}], "system": marked(HOUR)},
            "system.0.cache_control.ttl: " + ORDER,
        ),
        (
            {"messages": [user({"type": "text", "text": "", "cache_control": MARK})]},
            "messages.0.content.0.text: cache_control cannot be set for empty text blocks",
        ),
        ({"messages": [user({"type": "text", "text": ""})]}, EMPTY),
        ({"messages": [{"role": "user", "content": "  \n"}]}, BLANK),
        (
            {"messages": [USER, assistant(MARKED_THINKING), USER]},
            "messages.1.content.0.thinking.cache_control: Extra inputs are not permitted",
        ),
        (
            {"system": marked({"type": "ephemeral", "ttl": "2h"})},
            "system.0.cache_control.ttl: Input should be '5m' or '1h'",
        ),
        ({"system": marked({"type": "permanent"})}, "system.0.cache_control.type: Input should be 'ephemeral'"),
        (
            {"messages": [USER, {"role": "assistant", "content": "The answer is"}]},
            "This model does not support assistant message prefill. The conversation must end with a user message.",
        ),
        ({"messages": []}, "messages: at least one message is required"),
        ({"messages": [{"role": "system", "content": "Be brief."}, USER]}, NO_SYSTEM_FIRST),
        ({"messages": [USER, assistant({"type": "text", "text": " "}), USER]}, BLANK),
        ({"messages": [USER, assistant({"type": "text", "text": ""}, CALL), user(RESULT)], "tools": [TOOL]}, EMPTY),
        (
            {"model": "claude-opus-4-6", "output_config": {"effort": "xhigh"}},
            "This model does not support effort level 'xhigh'. Supported levels: high, low, max, medium.",
        ),
        (
            {"model": "claude-opus-4-5", "output_config": {"effort": "max"}},
            "This model does not support effort level 'max'. Supported levels: high, low, medium.",
        ),
        ({"model": "claude-haiku-4-5", "output_config": {"effort": "low"}}, NO_EFFORT),
        ({"inference_geo": "mars"}, "inference_geo: Input should be 'global' or 'us'"),
        (
            {"model": "claude-sonnet-4-5", "inference_geo": "us"},
            "inference_geo is not supported for this model",
        ),
        ({"thread": {"type": "create"}}, "thread: Extra inputs are not permitted"),
        (
            {
                "model": "claude-opus-4-6",
                "thinking": {"type": "enabled", "budget_tokens": 2000},
                "max_tokens": 4000,
                "tools": [TOOL],
                "tool_choice": {"type": "any"},
            },
            "Thinking may not be enabled when tool_choice forces tool use.",
        ),
        ({"temperature": 1}, "temperature: Extra inputs are not permitted"),
        ({"top_p": 0.9}, "top_p: Extra inputs are not permitted"),
        ({"top_k": 3}, "top_k: Extra inputs are not permitted"),
        (
            {"tools": [TOOL], "tool_choice": {"type": "any"}},
            'tool_choice: type "tool" and "any" are not supported for this model.',
        ),
        (
            {"model": "claude-sonnet-5", "messages": [USER, {"role": "system", "content": "Be brief."}]},
            "role 'system' is not supported on this model",
        ),
        (
            {"thinking": {"type": "enabled", "budget_tokens": 2000}},
            '"thinking.type.enabled" is not supported for this model. Use "thinking.type.adaptive" and '
            '"output_config.effort" to control thinking behavior.',
        ),
        (
            {"model": "claude-haiku-4-5", "thinking": {"type": "adaptive"}},
            "adaptive thinking is not supported on this model",
        ),
        ({"max_tokens": 200_000}, TOO_LONG),
        ({"max_tokens": True}, "max_tokens: Input should be a valid integer"),
        ({"surprise": 1}, "surprise: Extra inputs are not permitted"),
        ({"tools": [TOOL, TOOL]}, "tools: Tool names must be unique."),
    ],
)
def test_what_the_api_refuses_is_refused_in_its_words(fields: dict[str, Any], message: str):
    assert refusal(body(**fields)) == message


@pytest.mark.parametrize(
    "fields",
    [
        {"stream": True},
        {"output_config": {"format": FORMAT}},
        {"compaction": {"enabled": True}},
        {"model": "claude-opus-5", "tools": [TOOL], "tool_choice": {"type": "any"}},
        {"model": "claude-opus-5", "tools": [TOOL], "tool_choice": {"type": "tool", "name": "look_up"}},
        {"model": "claude-opus-4-6", "thinking": {"type": "enabled", "budget_tokens": 2000}},
    ],
)
def test_the_documented_combinations_with_max_tokens_0_are_refused(fields: dict[str, Any]):
    assert refusal(body(**fields, max_tokens=0)).startswith("max_tokens: 0 is not supported together with")


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"thinking": {"type": "adaptive"}},
        {"thinking": {"type": "between_tools"}},
        {"model": "claude-opus-5", "thinking": {"type": "disabled"}},
        {"tools": [TOOL], "tool_choice": {"type": "auto"}},
        {"tools": [TOOL], "tool_choice": {"type": "none"}},
        {"output_config": {"effort": "low"}},
        {"stream": False},
        {"system": marked(HOUR, MARK)},
    ],
)
def test_everything_else_goes_with_max_tokens_0(fields: dict[str, Any]):
    assert check_create(body(**fields, max_tokens=0), NEW).known


@pytest.mark.parametrize(
    "fields",
    [
        {"messages": [{"role": "assistant", "content": "Hi"}, USER]},
        {"messages": [USER, assistant({"type": "text", "text": "\n\n"}, CALL), user(RESULT)], "tools": [TOOL]},
        {"messages": [user({"type": "text", "text": "Hello"}, {"type": "text", "text": " "})]},
        {"model": "claude-opus-4-7", "output_config": {"effort": "xhigh"}},
        {"model": "claude-sonnet-4-6", "output_config": {"effort": "max"}},
        {"inference_geo": "us"},
        {"model": "claude-haiku-5-5", "tools": [TOOL], "tool_choice": {"type": "any"}},
    ],
)
def test_what_the_api_takes_is_taken(fields: dict[str, Any]):
    assert check_create(body(**fields), NEW).known


def test_a_thread_is_refused_with_the_code_that_its_beta_documents():
    with pytest.raises(ApiError) as caught:
        check_create(body(thread={"type": "create"}), NEW, {"message-threads-2026-08-12"})

    error = caught.value.body("req_1")["error"]
    assert (error["type"], error["details"]) == (
        "invalid_request_error",
        {"error_code": "thread_unsupported_request"},
    )


def test_disabled_thinking_on_sonnet_5_5_points_to_between_tools():
    assert "thinking.type.between_tools" in refusal(body(thinking={"type": "disabled"}))


@pytest.mark.parametrize("model", ["claude-opus-5", "claude-sonnet-5-5"])
def test_thinking_can_be_off_only_at_effort_high_or_below(model: str):
    mode = "disabled" if model == "claude-opus-5" else "between_tools"
    request = body(model=model, thinking={"type": mode}, output_config={"effort": "max"})

    assert "effort" in refusal(request)
    assert check_create({**request, "output_config": {"effort": "high"}}, NEW)


def test_the_old_version_takes_default_sampling_on_new_models_and_any_on_old_ones():
    assert check_create(body(temperature=1), OLD)
    assert "temperature" in refusal(body(temperature=0.5), OLD)
    assert check_create(body(model="claude-sonnet-4-6", temperature=0.5), OLD)


def test_the_new_version_refuses_documents_in_assistant_messages_and_citations_in_user_text():
    document = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "words"}}
    cited = {"type": "text", "text": "words", "citations": [{"type": "char_location"}]}

    assert "document" in refusal(body(messages=[USER, assistant(document), USER]))
    assert "citations" in refusal(body(messages=[user(cited)]))
    assert check_create(body(messages=[USER, assistant(document), USER]), OLD)
    assert check_create(body(messages=[user(cited)]), OLD)


def test_every_tool_call_needs_its_result_in_the_next_message():
    answered = body(tools=[TOOL], messages=[USER, assistant(CALL), user(RESULT)])
    unanswered = body(tools=[TOOL], messages=[USER, assistant(CALL), USER])
    unasked = body(tools=[TOOL], messages=[user(RESULT)])

    assert check_create(answered, NEW)
    assert "`tool_use` ids were found without `tool_result` blocks immediately after: toolu_1" in refusal(unanswered)
    assert "unexpected `tool_use_id`" in refusal(unasked)


def test_a_breakpoint_inside_a_tool_result_counts():
    result = {**RESULT, "content": [{"type": "text", "text": "found", "cache_control": MARK}]}
    request = body(tools=[TOOL], system=marked(MARK, MARK, MARK, MARK), messages=[USER, assistant(CALL), user(result)])

    assert refusal(request).endswith("Found 5.")


def test_the_automatic_breakpoint_must_agree_with_the_one_that_is_there():
    messages = [user(*marked(HOUR))]

    assert check_create(body(messages=messages, cache_control=HOUR), NEW)
    assert "differs" in refusal(body(messages=messages, cache_control=MARK))


def test_prefill_is_taken_by_the_4_5_generation_without_trailing_space():
    def request(text: str) -> dict[str, Any]:
        return body(model="claude-haiku-4-5", messages=[USER, {"role": "assistant", "content": text}])

    assert check_create(request("The answer is"), NEW)
    assert "trailing whitespace" in refusal(request("The answer is "))


def test_an_unknown_model_is_a_404():
    with pytest.raises(ApiError) as caught:
        check_create(body(model="claude-next"), NEW)

    assert (caught.value.status, caught.value.type) == (404, "not_found_error")


def test_counting_checks_the_same_parameters_but_needs_no_max_tokens():
    request = {"model": "claude-sonnet-5-5", "messages": [USER]}

    assert check_count(request, NEW)
    with pytest.raises(ApiError, match="temperature"):
        check_count({**request, "temperature": 1}, NEW)
    with pytest.raises(ApiError, match="max_tokens"):
        check_count({**request, "max_tokens": 5}, NEW)


def test_an_input_beyond_the_context_window_is_refused():
    with pytest.raises(ApiError, match="prompt is too long: 200001 tokens > 200000 maximum"):
        check_window(200_001, facts_for("claude-haiku-4-5"))


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["ephemeral", "1h", "user"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FULL = body(
    system=marked(HOUR, MARK),
    tools=[{**TOOL, "cache_control": HOUR}],
    tool_choice={"type": "auto"},
    thinking={"type": "adaptive", "display": "summarized"},
    output_config={"effort": "low", "format": FORMAT},
    metadata={"user_id": "u"},
    diagnostics={"previous_message_id": None},
    stop_sequences=["END"],
    stream=True,
    messages=[
        user({"type": "document", "title": "t", "source": {"type": "text", "media_type": "text/plain", "data": "d"}}),
        assistant({"type": "thinking", "thinking": "", "signature": "s"}, CALL),
        user(RESULT, {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}}),
    ],
)


def paths_of(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, child in children for found in paths_of(child, (*path, key)))]


def with_value(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = with_value(value[path[0]], path[1:], new)
    return copy


def test_the_full_request_is_valid():
    assert check_create(FULL, NEW)


@given(st.sampled_from(paths_of(FULL)[1:]), json_values)
@settings(max_examples=400, deadline=None)
def test_any_value_anywhere_is_either_accepted_and_readable_or_refused_politely(path: tuple[Any, ...], new: Any):
    request = with_value(FULL, path, new)

    try:
        facts = check_create(request, NEW)
    except ApiError as error:
        assert error.status in (400, 404)
        assert error.message
    else:
        assert read_prompt(request, facts).total_tokens > 0


SEARCH = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}}
FOUND = {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []}
SAID = {"type": "text", "text": "So."}
THOUGHT = {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}
NO_RESULT = (
    "messages.1: `web_search` tool use with id `srvtoolu_1` was found without a corresponding "
    "`web_search_tool_result` block"
)


class TestAnswersThatComeBack:
    @pytest.mark.parametrize(
        ("blocks", "message"),
        [
            ([SAID, SEARCH], NO_RESULT),
            ([FOUND, SAID], "messages.1.content.0: unexpected `tool_use_id` found in `web_search_tool_result` blocks"),
            ([SAID, THOUGHT], "messages.1: The final block in an assistant message cannot be `thinking`."),
            (
                [{**SAID, "citations": [{"type": "char_location", "file_id": None}]}],
                "messages.1.content.0.text.citations.0.char_location.file_id: Extra inputs are not permitted",
            ),
        ],
        ids=["no result", "no call", "thinking last", "a member of answers only"],
    )
    def test_what_the_api_refuses_of_them_is_refused(self, blocks: list[dict[str, Any]], message: str) -> None:
        assert refusal(body(messages=[USER, assistant(*blocks), USER])).startswith(message)

    @pytest.mark.parametrize(
        "messages",
        [
            [USER, assistant(SEARCH, FOUND, SAID), USER],
            [USER, assistant(SAID, SEARCH)],
            [USER, assistant(SEARCH), assistant(FOUND, SAID), USER],
            [USER, assistant(SEARCH, CALL), user(RESULT), assistant(FOUND, SAID), USER],
        ],
        ids=["whole", "paused", "in two parts", "waiting for the client's tool"],
    )
    def test_calls_may_wait_for_their_results(self, messages: list[dict[str, Any]]) -> None:
        check_create(body(messages=messages), NEW)
