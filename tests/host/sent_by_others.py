"""Hosts that go on sending their requests themselves: with the plain SDK, and with Pydantic AI. warmcache warms, gives
them the body, and is told how it ended."""

import asyncio
import os
import time

import django

django.setup()

from anthropic import AsyncAnthropic  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connections  # noqa: E402
from pydantic_ai import Agent  # noqa: E402
from pydantic_ai.models.anthropic import AnthropicModel, AnthropicModelSettings  # noqa: E402
from pydantic_ai.providers.anthropic import AnthropicProvider  # noqa: E402

import warmcache  # noqa: E402
from warmcache import Intent, Prompt  # noqa: E402
from warmcache.models import UsageRecord, WarmUp  # noqa: E402

MODEL = "claude-sonnet-5-5"
QUESTION = "How do I reset device 7?"


async def warmed(label: str) -> Prompt:
    prompt = Prompt(model=MODEL, system=f"{label} answers from this. " * 3000)
    attempt = await warmcache.prewarm_prefix(prompt, intent=Intent.TYPING, label=label, subject="ann")
    assert attempt.finished is not None, attempt
    assert (await attempt.finished()).state == "warm"
    return prompt


async def with_the_sdk(client: AsyncAnthropic) -> str:
    prompt = await warmed("sdk")
    body = warmcache.body_of(prompt, QUESTION, label="sdk")
    began = time.time()
    answer = await client.messages.create(**body, max_tokens=100)
    result = await warmcache.report(
        prompt,
        QUESTION,
        usage=answer.usage,
        started_at=began,
        stop_reason=answer.stop_reason or "",
        response_id=answer.id,
        label="sdk",
        subject="ann",
    )
    return result.settlement.warmth


async def with_a_framework(client: AsyncAnthropic) -> str:
    prompt = await warmed("framework")
    agent = Agent(AnthropicModel(MODEL, provider=AnthropicProvider(anthropic_client=client)))
    body = warmcache.body_of(prompt, QUESTION, label="framework")
    began = time.time()
    run = await agent.run(QUESTION, model_settings=AnthropicModelSettings(max_tokens=100, extra_body=body))
    assert run.output
    usage = {name: run.usage.details.get(name, 0) for name in COUNTERS}
    result = await warmcache.report(prompt, QUESTION, usage=usage, started_at=began, label="framework", subject="ann")
    return result.settlement.warmth


COUNTERS = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")


async def main() -> list[str]:
    client = AsyncAnthropic(base_url=os.environ["ANTHROPIC_BASE_URL"], api_key=os.environ["ANTHROPIC_API_KEY"])
    try:
        return [await with_the_sdk(client), await with_a_framework(client)]
    finally:
        await client.close()
        await warmcache.close()


call_command("migrate", verbosity=0)
said = asyncio.run(main())
assert set(WarmUp.objects.values_list("label", "outcome")) == {("sdk", "hit"), ("framework", "hit")}
assert UsageRecord.objects.exclude(warm_up=None).count() == 2
connections.close_all()
print(*said)  # noqa: T201 - the test reads it
