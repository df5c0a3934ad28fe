"""A host without the chat gets whole answers and can send them back: collected from events, over the real client."""

import json

import pytest

from tests.warmcache.simulated import Simulated, simulated
from warmcache import AnswerContent, answer_turn, paused_turn
from warmcache.core.prefix import Json, PreparedPrompt, Prompt, Turn, build, prepare
from warmcache.simulator.scripts import read_script

CALL: Json = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "x"}}
FOUND: Json = {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []}
CITED: Json = {"type": "text", "text": "59 F", "citations": [{"type": "page_location", "cited_text": "59"}]}
REDACTED: Json = {"type": "redacted_thinking", "data": "eHl6"}
HOLOGRAM: Json = {"type": "hologram", "beam": None}
QUESTION = Turn(role="user", blocks=({"type": "text", "text": "Why?"},))


def script(side: Simulated, *blocks: Json, **more: object) -> None:
    side.simulator.scripts.add(read_script({"blocks": list(blocks), **more}))


async def answer_to(side: Simulated, prompt: PreparedPrompt, last: Turn) -> AnswerContent:
    answer = AnswerContent()
    async with side.provider.stream(build(prompt, last), max_tokens=100) as batches:
        async for events in batches:
            for event in events:
                answer.take(event)
    return answer


@pytest.mark.parametrize("model", ["claude-sonnet-5-5", "claude-haiku-4-5"])
async def test_an_answer_goes_back_as_it_came(model: str) -> None:
    async with simulated() as side:
        prompt = prepare(Prompt(model=model), side.config.prefix_key)
        script(
            side,
            {"type": "thinking", "thinking": "Hm."},
            CALL,
            FOUND,
            CITED,
            HOLOGRAM,
            REDACTED,
            {"type": "text", "text": "."},
        )

        answer = await answer_to(side, prompt, QUESTION)
        again = await answer_to(side, prompt.with_turns(QUESTION, answer_turn(answer.blocks())), QUESTION)

        assert again.message["stop_reason"] == "end_turn"
        thought, *rest = answer.blocks()
        assert (thought["thinking"], bool(thought["signature"])) == ("Hm.", True)
        assert rest == [CALL, FOUND, CITED, HOLOGRAM, REDACTED, {"type": "text", "text": "."}]
        sent = json.loads(side.exchanges[-1].body)["messages"][1]["content"]
        assert sent[:-1] == [thought, *rest[:-1]]
        assert sent[-1]["text"] == "."


async def test_a_paused_answer_is_continued_and_then_goes_back_as_one_turn() -> None:
    async with simulated() as side:
        prompt = prepare(Prompt(model="claude-opus-5-5"), side.config.prefix_key)
        script(side, {"type": "thinking", "thinking": "Hm."}, CALL, stop_reason="pause_turn")
        script(side, FOUND, {"type": "thinking", "thinking": "So."}, CITED)

        paused = await answer_to(side, prompt, QUESTION)
        assert paused.message["stop_reason"] == "pause_turn"
        last = paused_turn(paused.blocks())
        assert last is not None
        rest = await answer_to(side, prompt.with_turns(QUESTION), last)
        whole = answer_turn([*paused.blocks(), *rest.blocks()])
        await answer_to(side, prompt.with_turns(QUESTION, whole), QUESTION)

        assert whole is not None
        assert [block["type"] for block in whole.blocks] == [
            "thinking",
            "server_tool_use",
            "web_search_tool_result",
            "thinking",
            "text",
        ]
        assert [exchange.status for exchange in side.exchanges] == [200, 200, 200]


async def test_behind_an_answer_of_many_blocks_the_question_is_still_found_in_the_cache() -> None:
    async with simulated() as side:
        prompt = prepare(Prompt(model="claude-sonnet-5-5"), side.config.prefix_key)
        question = Turn(role="user", blocks=({"type": "text", "text": "Why? " * 800},))
        script(side, *[{**CITED, "text": f"{n} F"} for n in range(45)])

        answer = await answer_to(side, prompt, question)
        again = prompt.with_turns(question, answer_turn(answer.blocks()))
        await side.provider.prewarm(build(again, None))
        await answer_to(side, again, QUESTION)

        first, warmed, second = [exchange.usage for exchange in side.exchanges]
        assert warmed["cache_read_input_tokens"] == first["cache_creation_input_tokens"] > 1000
        assert second["cache_read_input_tokens"] > warmed["cache_read_input_tokens"]
