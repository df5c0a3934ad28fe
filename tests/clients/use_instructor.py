"""instructor, which is for structured output alone: its other calls go to the official client that it wraps."""

import anthropic
import instructor
from cases import GARDEN, MODEL, MORE, QUESTION, SYSTEM, Advice, tell

MARK = {"type": "ephemeral"}
CALL = {
    "model": MODEL,
    "max_tokens": 500,
    "system": [{"type": "text", "text": SYSTEM, "cache_control": MARK}],
    "max_retries": 0,
}
ASKED = [{"role": "user", "content": QUESTION}]


def client(url: str, mode: instructor.Mode = instructor.Mode.ANTHROPIC_TOOLS) -> instructor.Instructor:
    return instructor.from_anthropic(anthropic.Anthropic(api_key="instructor", base_url=url), mode=mode)


def chat(url: str) -> bool:
    answer = client(url).create(response_model=None, messages=ASKED, **CALL)
    return "copper" in answer.content[0].text


def streaming(url: str) -> bool:
    steps = list(client(url).create_partial(response_model=Advice, messages=ASKED, **CALL))
    return len(steps) > 1 and steps[-1].years == 1


def structured(url: str) -> bool:
    return isinstance(client(url).create(response_model=Advice, messages=ASKED, **CALL), Advice)


def cache_read(url: str) -> bool:
    first, _ = client(url).create_with_completion(response_model=Advice, messages=ASKED, **CALL)
    messages = [*ASKED, {"role": "assistant", "content": first.title}, {"role": "user", "content": MORE}]
    _, completion = client(url).create_with_completion(response_model=Advice, messages=messages, **CALL)
    return completion.usage.cache_read_input_tokens > len(GARDEN) / 4


tell("instructor", chat=chat, streaming=streaming, structured=structured, cache_read=cache_read)
