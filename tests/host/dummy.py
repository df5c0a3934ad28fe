"""The tests of two hosts, one async and one sync, that have no provider: their settings name the dummy."""

import django

django.setup()

from asgiref.sync import async_to_sync  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connections  # noqa: E402

import warmcache  # noqa: E402
from warmcache import Intent, Prompt, sync  # noqa: E402
from warmcache.models import WarmUp  # noqa: E402
from warmcache.testing import DummyProvider  # noqa: E402

PROMPT = Prompt(model="claude-sonnet-5-5", system="The host knows. " * 3000)
DummyProvider.text = "As you wish."


@async_to_sync
async def in_an_async_host() -> str:
    attempt = await warmcache.prewarm_prefix(PROMPT, intent=Intent.TYPING, label="async")
    assert attempt.finished is not None
    await attempt.finished()
    answer = await warmcache.respond(PROMPT, "And now?", max_tokens=10, label="async")
    return f"{answer.text} {answer.result.settlement.warmth}"


def in_a_sync_host() -> str:
    with sync.stream_response(PROMPT, "And now?", max_tokens=10, label="sync") as response:
        return "".join(response.texts())


call_command("check", fail_level="WARNING")
call_command("migrate", verbosity=0)
said = [in_an_async_host(), in_a_sync_host()]
assert [sent.kind for sent in DummyProvider.outbox] == ["warm_up", "reply", "reply"]
sync.close()
assert WarmUp.objects.get().outcome == "hit"
connections.close_all()
print(*said, sep="; ")  # noqa: T201 - the test reads it
