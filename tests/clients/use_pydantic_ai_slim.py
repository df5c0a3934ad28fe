"""pydantic-ai."""

import asyncio

from cases import (
    GARDEN,
    MODEL,
    MORE,
    QUESTION,
    SAID,
    SYSTEM,
    Advice,
    next_reply_asks_for_the_weather,
    next_reply_calls,
    tell,
    weather,
)
from pydantic_ai import Agent, NativeOutput, ToolOutput
from pydantic_ai.models.anthropic import AnthropicModel, AnthropicModelSettings
from pydantic_ai.providers.anthropic import AnthropicProvider

SETTINGS = AnthropicModelSettings(anthropic_cache_instructions=True, max_tokens=500)


def agent(url: str, **more) -> Agent:
    provider = AnthropicProvider(api_key="pydantic", base_url=url)
    model = AnthropicModel(MODEL, provider=provider)
    return Agent(model, instructions=SYSTEM, model_settings=SETTINGS, retries=0, **more)


def chat(url: str) -> bool:
    return "copper" in agent(url).run_sync(QUESTION).output


def streaming(url: str) -> bool:
    async def stream() -> list[str]:
        async with agent(url).run_stream(QUESTION) as result:
            return [text async for text in result.stream_text(delta=True, debounce_by=None)]

    texts = asyncio.run(stream())
    return len(texts) > 2 and "copper" in "".join(texts)


def tools(url: str) -> bool:
    heard = []

    def noted(place: str) -> str:
        """The weather at a place."""
        heard.append(weather(place))
        return heard[-1]

    noted.__name__ = "weather"
    next_reply_asks_for_the_weather(url)
    answer = agent(url, tools=[noted]).run_sync("How is Rome?").output
    return heard == [SAID] and bool(answer)


def structured(url: str) -> bool:
    # It forces no tool on this model, but hopes that it calls the one of its own that takes the answer.
    next_reply_calls(url, "final_result", {"title": "Slugs", "steps": ["copper"], "years": 3})
    by_tool = agent(url, output_type=ToolOutput(Advice)).run_sync(QUESTION).output
    by_format = agent(url, output_type=NativeOutput(Advice)).run_sync(QUESTION).output
    return isinstance(by_tool, Advice) and isinstance(by_format, Advice)


def cache_read(url: str) -> bool:
    first = agent(url).run_sync(QUESTION)
    again = agent(url).run_sync(MORE, message_history=first.all_messages())
    return again.usage.cache_read_tokens > len(GARDEN) / 4


tell("pydantic-ai-slim", chat=chat, streaming=streaming, tools=tools, structured=structured, cache_read=cache_read)
