"""langchain-anthropic."""

from cases import GARDEN, MODEL, MORE, QUESTION, SAID, SYSTEM, Advice, next_reply_asks_for_the_weather, tell, weather
from langchain_anthropic import ChatAnthropic
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool

MARK = {"type": "ephemeral"}
BEGINNING = [
    SystemMessage(content=[{"type": "text", "text": SYSTEM, "cache_control": MARK}]),
    HumanMessage(QUESTION),
]


def model(url: str) -> ChatAnthropic:
    return ChatAnthropic(model=MODEL, base_url=url, api_key="langchain", max_tokens=500, max_retries=0)


def chat(url: str) -> bool:
    return "copper" in model(url).invoke(BEGINNING).text


def streaming(url: str) -> bool:
    chunks = [chunk.text for chunk in model(url).stream(BEGINNING)]
    return len(chunks) > 2 and "copper" in "".join(chunks)


def tools(url: str) -> bool:
    bound = model(url).bind_tools([tool(weather)])
    next_reply_asks_for_the_weather(url)
    asked: list = [HumanMessage("How is Rome?")]
    called = bound.invoke(asked)
    [call] = called.tool_calls
    said = ToolMessage(weather(**call["args"]), tool_call_id=call["id"])
    return said.content == SAID and bool(bound.invoke([*asked, called, said]).text)


def structured(url: str) -> bool:
    by_tool = model(url).with_structured_output(Advice).invoke(BEGINNING)
    by_format = model(url).with_structured_output(Advice, method="json_schema").invoke(BEGINNING)
    return isinstance(by_tool, Advice) and isinstance(by_format, Advice)


def cache_read(url: str) -> bool:
    answer = model(url).invoke(BEGINNING)
    assert isinstance(answer, AIMessage)
    again = model(url).invoke([*BEGINNING, answer, HumanMessage(MORE)])
    return again.usage_metadata["input_token_details"]["cache_read"] > len(GARDEN) / 4


tell("langchain-anthropic", chat=chat, streaming=streaming, tools=tools, structured=structured, cache_read=cache_read)
