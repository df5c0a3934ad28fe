"""llm with its plugin llm-anthropic."""

import json

import llm
from cases import GARDEN, MODEL, MORE, QUESTION, SAID, SYSTEM, Advice, next_reply_asks_for_the_weather, tell, weather


def model(url: str) -> llm.Model:
    found = llm.get_model(f"anthropic/{MODEL}")
    found.base_url = url
    found.key = "llm"
    return found


def chat(url: str) -> bool:
    return "copper" in model(url).prompt(QUESTION, system=SYSTEM, stream=False).text()


def streaming(url: str) -> bool:
    texts = list(model(url).prompt(QUESTION, system=SYSTEM))
    return len(texts) > 2 and "copper" in "".join(texts)


def tools(url: str) -> bool:
    heard = []
    next_reply_asks_for_the_weather(url)
    chain = model(url).chain("How is Rome?", tools=[weather], after_call=lambda _, __, result: heard.append(result))
    return bool(chain.text()) and [result.output for result in heard] == [SAID]


def structured(url: str) -> bool:
    answer = model(url).prompt(QUESTION, system=SYSTEM, schema=Advice)
    return bool(Advice.model_validate(json.loads(answer.text())))


def cache_read(url: str) -> bool:
    conversation = model(url).conversation()
    conversation.prompt(QUESTION, system=SYSTEM, cache=True).text()
    again = conversation.prompt(MORE, cache=True)
    again.text()
    return again.usage().details["cache_read_input_tokens"] > len(GARDEN) / 4


tell("llm-anthropic", chat=chat, streaming=streaming, tools=tools, structured=structured, cache_read=cache_read)
