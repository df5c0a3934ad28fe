from typing import Any

import pytest

from warmcache.core.catalog import facts_for
from warmcache.simulator.prompt import Level, Prompt, read_prompt

FACTS = facts_for("claude-sonnet-5-5")
MARK = {"type": "ephemeral"}
HOUR = {"type": "ephemeral", "ttl": "1h"}
TOOL = {"name": "look_up", "description": "Looks a word up.", "input_schema": {"type": "object"}}
WEB = {"type": "web_search_20260101", "name": "web_search"}


def text(words: str, **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": words, **more}


def body(**fields: Any) -> dict[str, Any]:
    return {
        "model": FACTS.model,
        "tools": [TOOL],
        "system": [text("You answer from the documents.")],
        "messages": [{"role": "user", "content": "What is a list?"}],
        **fields,
    }


def levels_kept(before: Prompt, after: Prompt) -> list[str]:
    """The levels whose last position is still called the same."""
    kept = []
    for level in Level:
        ends = [_last_link(prompt, level) for prompt in (before, after)]
        if ends[0] is not None and ends[0] == ends[1]:
            kept.append(level.name.lower())
    return kept


def _last_link(prompt: Prompt, level: Level) -> bytes | None:
    links = [link for link, block in zip(prompt.chain("scope"), prompt.blocks, strict=True) if block.level is level]
    return links[-1] if links else None


def test_blocks_come_in_the_order_tools_system_messages():
    prompt = read_prompt(body(), FACTS)

    assert [block.level for block in prompt.blocks] == [Level.TOOLS, Level.SYSTEM, Level.MESSAGES]


def test_a_string_is_one_text_block():
    as_string = read_prompt(body(system="Be brief.", messages=[{"role": "user", "content": "Hi"}]), FACTS)
    as_blocks = read_prompt(
        body(system=[text("Be brief.")], messages=[{"role": "user", "content": [text("Hi")]}]), FACTS
    )

    assert as_string == as_blocks


def test_consecutive_messages_of_one_role_are_one_turn():
    apart = read_prompt(body(messages=[{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]), FACTS)
    merged = read_prompt(body(messages=[{"role": "user", "content": [text("a"), text("b")]}]), FACTS)

    assert apart == merged


def test_the_role_is_part_of_what_is_hashed():
    said_by_user = [{"role": "user", "content": "q"}, {"role": "user", "content": "same words"}]
    said_by_assistant = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "same words"}]

    one = read_prompt(body(messages=said_by_user), FACTS)
    other = read_prompt(body(messages=said_by_assistant), FACTS)

    assert one.blocks[-1].digest != other.blocks[-1].digest


def test_a_breakpoint_does_not_change_the_content():
    plain = read_prompt(body(), FACTS)
    marked = read_prompt(body(system=[text("You answer from the documents.", cache_control=MARK)]), FACTS)

    assert plain.chain("") == marked.chain("")
    assert (plain.breakpoints, marked.breakpoints) == ((), (1,))


def test_key_order_matters_inside_tool_input_but_not_in_the_block_itself():
    def asked(**block: Any) -> bytes:
        messages = [{"role": "user", "content": "q"}, {"role": "assistant", "content": [block]}]
        return read_prompt(body(messages=messages), FACTS).blocks[-1].digest

    base = asked(type="tool_use", id="toolu_1", name="look_up", input={"a": 1, "b": 2})

    assert asked(input={"a": 1, "b": 2}, name="look_up", id="toolu_1", type="tool_use") == base
    assert asked(type="tool_use", id="toolu_1", name="look_up", input={"b": 2, "a": 1}) != base


def test_empty_fields_are_the_same_as_no_fields():
    with_none = body(messages=[{"role": "user", "content": [text("q", citations=None, cache_control=None)]}])
    without = body(messages=[{"role": "user", "content": "q"}])

    assert read_prompt(with_none, FACTS) == read_prompt(without, FACTS)


@pytest.mark.parametrize(
    ("change", "kept"),
    [
        ({"tools": [{**TOOL, "description": "Another."}]}, []),
        ({"system": "Another system prompt."}, ["tools"]),
        ({"messages": [{"role": "user", "content": "Another question."}]}, ["tools", "system"]),
        ({"tools": [TOOL, WEB]}, ["tools"]),
        ({"tool_choice": {"type": "none"}}, ["tools", "system"]),
        ({"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}}, ["tools", "system"]),
        ({"thinking": {"type": "between_tools"}}, ["tools", "system"]),
        ({"output_config": {"effort": "low"}}, ["tools", "system"]),
        ({"output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}}}, []),
        ({"speed": "fast"}, []),
    ],
)
def test_a_change_invalidates_its_own_level_and_the_later_ones(change: dict[str, Any], kept: list[str]):
    before = read_prompt(body(), FACTS)
    after = read_prompt(body(**change), FACTS)

    assert levels_kept(before, after) == kept


def test_where_config_is_rendered_first_thinking_and_effort_lose_everything():
    before = read_prompt(body(), FACTS, renders_config_first=True)
    after = read_prompt(body(output_config={"effort": "low"}), FACTS, renders_config_first=True)

    assert levels_kept(before, after) == []


def test_beta_headers_belong_to_the_prefix_whatever_their_order():
    one = read_prompt(body(), FACTS, betas={"a", "b"})

    assert levels_kept(one, read_prompt(body(), FACTS, betas=["b", "a"])) == ["tools", "system", "messages"]
    assert levels_kept(one, read_prompt(body(), FACTS, betas={"a"})) == []


@pytest.mark.parametrize(
    "said",
    [
        {"thinking": {"type": "adaptive"}},
        {"thinking": {"type": "adaptive", "display": "summarized"}},
        {"output_config": {"effort": "high"}},
        {"tool_choice": {"type": "auto"}},
        {"max_tokens": 0},
        {"stream": True},
    ],
)
def test_saying_the_default_is_the_same_as_saying_nothing(said: dict[str, Any]):
    assert read_prompt(body(), FACTS) == read_prompt(body(**said), FACTS)


def test_the_first_image_invalidates_the_whole_message_level():
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}}
    history = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]

    before = read_prompt(body(messages=[*history, {"role": "user", "content": "more"}]), FACTS)
    after = read_prompt(body(messages=[*history, {"role": "user", "content": [image, text("more")]}]), FACTS)

    assert before.chain("")[:2] == after.chain("")[:2]
    assert before.chain("")[2] != after.chain("")[2]


def test_switching_citations_on_invalidates_the_system_level():
    def with_document(enabled: bool) -> Prompt:
        document = {
            "type": "document",
            "source": {"type": "text", "media_type": "text/plain", "data": "words"},
            "citations": {"enabled": enabled},
        }
        return read_prompt(body(messages=[{"role": "user", "content": [document, text("q")]}]), FACTS)

    assert levels_kept(with_document(False), with_document(True)) == ["tools"]


def test_the_automatic_breakpoint_stands_on_the_last_block_that_can_carry_one():
    thinking = {"type": "thinking", "thinking": "hm", "signature": "s"}
    messages = [{"role": "user", "content": "q"}, {"role": "assistant", "content": [text("a"), thinking]}]

    assert read_prompt(body(cache_control=HOUR), FACTS).blocks[-1].ttl_seconds == 3600
    assert read_prompt(body(cache_control=MARK, messages=messages), FACTS).breakpoints == (3,)


def test_a_server_tool_result_gets_a_breakpoint_of_its_own_once_there_is_any():
    result = {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []}
    messages = [{"role": "user", "content": "q"}, {"role": "assistant", "content": [result, text("a")]}]

    unmarked = read_prompt(body(messages=messages), FACTS)
    marked = read_prompt(body(system=[text("s", cache_control=HOUR)], messages=messages), FACTS)

    assert unmarked.breakpoints == ()
    assert [marked.blocks[position].ttl_seconds for position in marked.breakpoints] == [3600, 300]


def test_deferred_tools_are_left_out_of_the_prefix():
    deferred = {**TOOL, "name": "rarely_used", "defer_loading": True}

    assert read_prompt(body(tools=[TOOL, deferred]), FACTS) == read_prompt(body(), FACTS)


def test_models_that_strip_past_thinking_leave_it_out_once_a_person_speaks_again():
    facts = facts_for("claude-haiku-4-5")
    thinking = {"type": "thinking", "thinking": "hm", "signature": "s"}
    history = [
        {"role": "user", "content": "q"},
        {"role": "assistant", "content": [thinking, text("a")]},
        {"role": "user", "content": "q2"},
    ]

    stripping = read_prompt(body(messages=history), facts)
    keeping = read_prompt(body(messages=history), FACTS)

    assert len(keeping.blocks) - len(stripping.blocks) == 1


def test_tokens_follow_the_tokeniser_of_the_model_and_the_documented_scaffolding():
    plain = body(tools=[], system=[], messages=[{"role": "user", "content": "x" * 1000}])

    new = read_prompt(plain, facts_for("claude-sonnet-5-5"))
    old = read_prompt(plain, facts_for("claude-sonnet-4-6"))

    assert new.total_tokens == 400 + 4 + 3
    assert old.total_tokens == 295 + 4 + 3


def test_having_any_tool_adds_the_hidden_tool_prompt():
    bare = {**TOOL, "description": ""}
    one = read_prompt(body(tools=[bare]), FACTS)
    two = read_prompt(body(tools=[bare, {**bare, "name": "look_in"}]), FACTS)

    assert one.blocks[0].tokens - two.blocks[1].tokens == pytest.approx(286, abs=1)
