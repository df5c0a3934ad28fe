"""litellm."""

import json

import litellm
from cases import GARDEN, MODEL, MORE, QUESTION, SAID, SYSTEM, Advice, next_reply_asks_for_the_weather, tell, weather

MARK = {"type": "ephemeral"}
BEGINNING = [
    {"role": "system", "content": [{"type": "text", "text": SYSTEM, "cache_control": MARK}]},
    {"role": "user", "content": QUESTION},
]
TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather at a place.",
        "parameters": {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]},
    },
}


def complete(url: str, messages: list, **more: object):
    return litellm.completion(
        model=f"anthropic/{MODEL}",
        api_base=url,
        api_key="litellm",
        messages=messages,
        max_tokens=500,
        num_retries=0,
        **more,
    )


def chat(url: str) -> bool:
    return "copper" in complete(url, BEGINNING).choices[0].message.content


def streaming(url: str) -> bool:
    chunks = [chunk.choices[0].delta.content or "" for chunk in complete(url, BEGINNING, stream=True)]
    return len(chunks) > 2 and "copper" in "".join(chunks)


def tools(url: str) -> bool:
    next_reply_asks_for_the_weather(url)
    asked = [{"role": "user", "content": "How is Rome?"}]
    called = complete(url, asked, tools=[TOOL]).choices[0].message
    [call] = called.tool_calls
    said = weather(**json.loads(call.function.arguments))
    results = [{"role": "tool", "tool_call_id": call.id, "content": said}]
    answer = complete(url, [*asked, called.model_dump(), *results], tools=[TOOL])
    return said == SAID and bool(answer.choices[0].message.content)


def structured(url: str) -> bool:
    answer = complete(url, BEGINNING, response_format=Advice)
    return bool(Advice.model_validate_json(answer.choices[0].message.content))


def cache_read(url: str) -> bool:
    answer = complete(url, BEGINNING).choices[0].message
    again = complete(url, [*BEGINNING, answer.model_dump(), {"role": "user", "content": MORE}])
    return again.usage.cache_read_input_tokens > len(GARDEN) / 4


tell("litellm", chat=chat, streaming=streaming, tools=tools, structured=structured, cache_read=cache_read)
