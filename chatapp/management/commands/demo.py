"""`manage.py demo`, which `make run` calls: one process from an empty installation to a page that answers."""

from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.urls import reverse

from chatapp.accounts import sign_in_links
from chatapp.demo import costs, seeding
from chatapp.demo import local_model as local
from chatapp.demo.content import ASSISTANTS, AssistantSpec
from chatapp.process import upstream
from chatapp.server import listening, startup
from warmcache import Upstream as Kind

HOST = "127.0.0.1"


def who_answers(kind: Kind) -> str:
    if kind is Kind.SIMULATOR:
        why = "a simulator answers" if settings.ANTHROPIC_BASE_URL else "no API key is set"
        return f"simulated replies: {why}"
    if kind is Kind.ANTHROPIC:
        return "the Claude API answers"
    return f"a local model answers{settings.LOCAL_MODEL_NOTE and ', ' + settings.LOCAL_MODEL_NOTE}"


@contextmanager
def use_local_model() -> Iterator[None]:
    """Runs the model and makes it the endpoint of this process."""
    with local.LocalModel() as model:
        settings.ANTHROPIC_BASE_URL = model.wait_ready()
        settings.ANTHROPIC_API_KEY = model.api_key
        settings.LOCAL_MODEL_NOTE = local.NOTE
        yield


class Command(BaseCommand):
    help = "Prepares and serves the demo on this machine, and prints a one-time sign-in link."
    # `manage.py check` and `serve` run the checks; here every tenth of a second counts.
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--local-model", action="store_true", help="on the tiny model that `make run-local` installs"
        )

    def handle(self, *, local_model: bool, **options: Any) -> None:
        with startup.one_sentence_errors(), ExitStack() as stack:
            listener = listening.listen(HOST, settings.PORT)
            assistants: Sequence[AssistantSpec] = ASSISTANTS
            if local_model:
                stack.enter_context(use_local_model())
                assistants = (local.ASSISTANT,)
            with upstream.Upstream() as chosen:
                startup.migrate_if_needed()
                user = seeding.seed(assistants)
                token = sign_in_links.create(user)
                kind = chosen.settle()
                path = reverse("sign_in_link", args=[token])
                line = f"Open {listening.url_of(listener)}{path} ({who_answers(kind)})"
                startup.run_server(listener, on_ready=lambda: self._ready(line, kind))
        startup.leave()

    def _ready(self, line: str, kind: Kind) -> None:
        self.stdout.write(line)
        self.stdout.flush()
        after = [startup.get_ready_to_answer]
        if kind is Kind.ANTHROPIC:
            after = [self._say_if_key_is_refused, *after, self._say_what_warm_ups_cost]
        startup.in_background(*after)

    def _say_if_key_is_refused(self) -> None:
        if sentence := upstream.refusal_of_key():
            self.stderr.write(sentence)

    def _say_what_warm_ups_cost(self) -> None:
        for line in costs.first_warm_ups():
            self.stderr.write(line)
