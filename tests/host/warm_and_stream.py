"""A host without the chat: boots, checks, migrates, warms, streams, settles, learns and reads the ledger."""

import asyncio
import os
from datetime import timedelta
from io import StringIO

from tests.host.blocking import block

block("chatapp", "channels", "daphne", "twisted", "redis")

import django  # noqa: E402 - only now, behind the block

django.setup()

from django.core.management import call_command  # noqa: E402
from django.db import connections  # noqa: E402

from warmcache import BlockDelta, flush, prewarm_prefix, stream_response  # noqa: E402
from warmcache.core.moments import at  # noqa: E402
from warmcache.models import LearnedEvidence, UsageRecord, WarmUp  # noqa: E402
from warmcache.testing import fake_runtime, make_prompt, make_turn  # noqa: E402


async def warm_and_stream() -> tuple[str, float]:
    async with fake_runtime(learns=True) as fake:
        attempt = await prewarm_prefix(make_prompt(), intent="typing", label="host")
        assert attempt.finished is not None
        assert (await attempt.finished()).state == "warm"
        async with stream_response(make_prompt(), make_turn(), max_tokens=100, label="host") as response:
            text = "".join([event.text async for event in response if isinstance(event, BlockDelta)])
        assert response.result.settlement.warmth == "hit"
        assert fake.provider.warm_up_count == 1
        started_at = fake.clock.now()
        fake.clock.advance(5)
        async with stream_response(make_prompt(), make_turn(), max_tokens=100, label="host") as response:
            assert [event async for event in response]
        fake.clock.advance(301)
        await flush()
        assert fake.runtime.ledger.dropped_writes == 0
        return text, started_at


call_command("check", fail_level="WARNING")
call_command("makemigrations", "--check", "--dry-run", verbosity=0)
call_command("migrate", verbosity=0, database=os.environ.get("HOST_MIGRATES", "default"))
said, started_at = asyncio.run(warm_and_stream())
warm_up = WarmUp.objects.get()
outcome = warm_up.outcome
assert warm_up.started_at == at(started_at), (warm_up.started_at, at(started_at))
assert warm_up.estimated_expires_at == at(started_at + 300)
assert WarmUp.objects.filter(started_at__range=(at(started_at), at(started_at) + timedelta(seconds=1))).exists()
assert UsageRecord.objects.exclude(followed_at=None).count() == 1
assert LearnedEvidence.objects.filter(label="host").exists()
requests = UsageRecord.objects.filter(warmth="hit").count()
call_command("warmcache_report", "--since", "3650d", stdout=StringIO())
connections.close_all()
print(f"{said} {outcome} {requests}")  # noqa: T201 - the test reads it
