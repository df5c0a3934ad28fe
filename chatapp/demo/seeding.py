"""Creates the missing rows of the demo and does not touch existing ones: an operator's edits are kept."""

from collections.abc import Sequence

from django.db import transaction

from chatapp.demo.content import ASSISTANTS, AssistantSpec
from chatapp.models import Assistant, Document, User

USERNAME = "demo"


def seed(assistants: Sequence[AssistantSpec] = ASSISTANTS) -> User:
    """The demo's user and assistants. Two queries when nothing is missing."""
    user = User.objects.filter(username=USERNAME).first() or _create_user()
    present = set(Assistant.objects.values_list("slug", flat=True))
    for spec in assistants:
        if spec.slug not in present:
            _create_assistant(spec)
    return user


def _create_user() -> User:
    """Staff, so that the admin shows the log of warm-ups; no password, so that only the link signs in."""
    user = User(username=USERNAME, is_staff=True, is_superuser=True)
    user.set_unusable_password()
    user.save()
    return user


@transaction.atomic
def _create_assistant(spec: AssistantSpec) -> None:
    is_default = not Assistant.objects.filter(is_default=True).exists()
    assistant = Assistant.objects.create(slug=spec.slug, is_default=is_default, **spec.fields)
    Document.objects.bulk_create(
        Document(assistant=assistant, title=title, text=text, position=position)
        for position, (title, text) in enumerate(spec.documents())
    )
