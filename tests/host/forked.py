"""A preforking server in small: the parent warms and forks, both ask, and neither says goodbye."""

import os

import django

django.setup()

from django.core.management import call_command  # noqa: E402
from django.db import connections  # noqa: E402

from warmcache import BlockDelta, Prompt, sync  # noqa: E402
from warmcache.testing import make_turn  # noqa: E402

call_command("migrate", verbosity=0)


def ask(name: str) -> None:
    prompt = Prompt(model="claude-sonnet-5-5", system=({"type": "text", "text": f"{name} knows. " * 10_000},))
    attempt = sync.prewarm_prefix(prompt, intent="typing", label=name)
    assert sync.finished(attempt).state == "warm", attempt
    assert sync.prewarm_prefix(prompt, intent="typing", label=name).decision.reason == "already_warm"
    with sync.stream_response(prompt, make_turn(), max_tokens=100, label=name) as response:
        assert [event for event in response if isinstance(event, BlockDelta)]
    assert response.result.settlement.warmth == "hit"


ask("before")
connections.close_all()
child = os.fork()
ask("parent" if child else "child")
if child:
    assert os.waitpid(child, 0)[1] == 0
