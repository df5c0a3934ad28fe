"""A host without the chat: boots, checks, migrates, warms, streams and reads the ledger."""

import asyncio

from tests.host.blocking import block

block("chatapp", "channels", "daphne", "twisted", "redis")

import django  # noqa: E402 - only now, behind the block

django.setup()

from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402

from warmcache import BlockDelta, prewarm_prefix, stream_response  # noqa: E402
from warmcache.models import UsageRecord, WarmUp  # noqa: E402
from warmcache.testing import fake_runtime, make_prompt, make_turn  # noqa: E402


async def warm_and_stream() -> str:
    async with fake_runtime() as fake:
        attempt = await prewarm_prefix(make_prompt(), intent="typing", label="host")
        assert attempt.finished is not None
        assert (await attempt.finished()).state == "warm"
        async with stream_response(make_prompt(), make_turn(), max_tokens=100, label="host") as response:
            text = "".join([event.text async for event in response if isinstance(event, BlockDelta)])
        assert response.result is not None
        assert response.result.settlement.warmth == "hit"
        assert fake.provider.warm_up_count == 1
        return text


call_command("check", fail_level="WARNING")
call_command("makemigrations", "--check", "--dry-run", verbosity=0)
call_command("migrate", verbosity=0)
said = asyncio.run(warm_and_stream())
outcome = WarmUp.objects.get().outcome
requests = UsageRecord.objects.filter(warmth="hit").count()
connection.close()
print(f"{said} {outcome} {requests}")  # noqa: T201 - the test reads it
