"""Async views under WSGI: Django makes an event loop for each request, which ends with it."""

import sys
import threading
from importlib.abc import MetaPathFinder

import django


class Watch(MetaPathFinder):
    """Notes in which thread the SDK is imported."""

    thread = ""

    def find_spec(self, name: str, path: object, target: object = None) -> None:
        if name == "anthropic":
            Watch.thread = threading.current_thread().name


django.setup()
sys.meta_path.insert(0, Watch())

from django.conf import settings  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connections  # noqa: E402
from django.http import HttpRequest, HttpResponse  # noqa: E402
from django.test import Client  # noqa: E402
from django.urls import path  # noqa: E402

import warmcache  # noqa: E402
from warmcache import BlockDelta, Intent, Prompt, stream_response, sync  # noqa: E402
from warmcache.models import UsageRecord, WarmUp  # noqa: E402
from warmcache.runtime.home import loop_thread  # noqa: E402
from warmcache.testing import make_turn  # noqa: E402

PROMPT = Prompt(model="claude-sonnet-5-5", system=({"type": "text", "text": "The host knows. " * 10_000},))


async def typing(request: HttpRequest) -> HttpResponse:
    attempt = await warmcache.prewarm_prefix(PROMPT, intent=Intent.TYPING, label="host", subject="ann")
    return HttpResponse(f"{attempt.warmth.state} {attempt.decision.reason}")


async def waiting(request: HttpRequest) -> HttpResponse:
    attempt = await warmcache.consider_prefix(warmcache.outline(PROMPT), intent=Intent.TYPING, label="host")
    assert attempt is not None
    warmth = await attempt.finished() if attempt.finished else attempt.warmth
    return HttpResponse(warmth.state)


async def ask(request: HttpRequest) -> HttpResponse:
    async with stream_response(
        PROMPT, make_turn(), max_tokens=100, label="host", subject="ann", place="case 7"
    ) as response:
        assert await response.expected_warmth() == "hit"
        text = "".join([event.text async for event in response if isinstance(event, BlockDelta)])
    warmcache.schedule_refresh("case 7", lambda: PROMPT, after=response.result, label="host", subject="ann")
    warmcache.cancel_refresh("case 7")
    assert text
    return HttpResponse(response.result.settlement.warmth)


urlpatterns = [path(f"{view.__name__}/", view) for view in (typing, waiting, ask)]
settings.ROOT_URLCONF = __name__
settings.ALLOWED_HOSTS = ["testserver"]
call_command("migrate", verbosity=0)


def get(name: str) -> str:
    return Client().get(f"/{name}/").content.decode()


said = [get("typing"), get("typing"), get("waiting"), get("ask")]
assert Watch.thread not in ("", "MainThread", loop_thread()._thread.name), Watch.thread
sync.close()
assert WarmUp.objects.get().outcome == "hit", "one call, whatever the number of loops"
assert UsageRecord.objects.get(label="host").warmth == "hit"
connections.close_all()
print(*said, sep="; ")  # noqa: T201 - the test reads it
