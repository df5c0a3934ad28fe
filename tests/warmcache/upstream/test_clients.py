"""The SDK's clients of other clouds, behind the one provider."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from anthropic import AsyncAnthropicBedrockMantle, AsyncAnthropicFoundry, AsyncAnthropicVertex

from tests.warmcache.simulated import simulated
from warmcache.conf import Config
from warmcache.core.catalog import facts_for
from warmcache.core.errors import ConfigurationError
from warmcache.core.ports import BlockDelta, StreamEnded
from warmcache.core.prefix import PrefixKey, build_request
from warmcache.testing import make_prompt
from warmcache.upstream.anthropic import MessagesProvider
from warmcache.upstream.prices import price_list

KEY = PrefixKey(secret=b"test", upstream="test")
REQUEST = build_request(make_prompt(), "And now?", KEY)
WARM_UP = build_request(make_prompt(), None, KEY)
url = ""
"""Where the factories' clients go."""


def foundry() -> Any:
    return AsyncAnthropicFoundry(api_key="key", base_url=url)


def mantle() -> Any:
    return AsyncAnthropicBedrockMantle(api_key="key", aws_region="eu-central-1", base_url=url)


def vertex() -> Any:
    return AsyncAnthropicVertex(access_token="key", project_id="help", region="eu", base_url=url)


def nothing() -> Any:
    return object()


@asynccontextmanager
async def cloud(upstream: str) -> AsyncIterator[str]:
    """Google Cloud's paths and bodies in front of the simulator: the model in the path, the version in the body."""

    async def pass_on(request: web.Request) -> web.StreamResponse:
        body = await request.json()
        assert body.pop("anthropic_version")
        body["model"] = request.match_info["model"]
        headers = {"authorization": request.headers["authorization"], "anthropic-version": "2026-10-21"}
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{upstream}/v1/messages", data=json.dumps(body), headers=headers) as answer,
        ):
            return web.Response(body=await answer.read(), status=answer.status, content_type=answer.content_type)

    app = web.Application()
    app.router.add_post("/projects/help/locations/eu/publishers/anthropic/models/{model}:{method}", pass_on)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def asked(factory: str, monkeypatch: pytest.MonkeyPatch, at: str) -> tuple[bool, str, str]:
    monkeypatch.setitem(globals(), "url", at)
    provider = MessagesProvider(Config(client=f"{__name__}.{factory}"))
    try:
        async with provider.stream(REQUEST, max_tokens=50) as batches:
            events = [event async for batch in batches for event in batch]
        with_warm_up = provider.capabilities.accepts_zero_max_tokens
        if with_warm_up:
            assert (await provider.prewarm(WARM_UP)).usage.cached_tokens > 0
    finally:
        await provider.aclose()
    text = "".join(event.text for event in events if isinstance(event, BlockDelta))
    [ended] = [event for event in events if isinstance(event, StreamEnded)]
    return with_warm_up, text, ended.stop_reason


@pytest.mark.parametrize(("factory", "is_documented"), [("foundry", True), ("mantle", False)])
async def test_a_cloud_with_the_apis_own_paths_answers(
    factory: str, is_documented: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with simulated() as sim:
        sim.next_replies("Hold the button.")

        found = await asked(factory, monkeypatch, sim.config.base_url)

    assert found == (is_documented, "Hold the button.", "end_turn")


async def test_a_cloud_with_paths_of_its_own_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    async with simulated() as sim, cloud(sim.config.base_url) as front:
        sim.next_replies("Hold the button.")

        found = await asked("vertex", monkeypatch, front)

    assert found == (False, "Hold the button.", "end_turn")


def test_what_is_no_client_is_refused_in_a_sentence() -> None:
    with pytest.raises(ConfigurationError, match=r"makes a object, and no async client"):
        MessagesProvider(Config(client=f"{__name__}.nothing"))


@pytest.mark.parametrize(
    "name",
    [
        "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
        "anthropic.claude-sonnet-4-5-20250929-v1:0",
        "claude-sonnet-4-5@20250929",
        "anthropic/claude-sonnet-4-5",
    ],
)
def test_a_clouds_name_of_a_model_has_its_facts_and_its_price(name: str) -> None:
    known, rates = facts_for(name), price_list(Config())

    assert (known.known, known.model) == (True, name)
    assert known.min_prefix_tokens == facts_for("claude-sonnet-4-5").min_prefix_tokens
    assert rates(name, 1000) == rates("claude-sonnet-4-5", 1000) is not None
