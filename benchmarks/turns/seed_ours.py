"""Fills an empty database of ours; prints JSON. Its text is passed to a Python that runs in the measured checkout.

Arguments: people, characters of documents, messages of history. It imports only models, whose place never changes.
"""

import json
import os
import sys
import uuid
from typing import Any

import django


def main(people: int, document_chars: int, history_messages: int) -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chatapp.settings")
    django.setup()
    from django.core.management import call_command
    from django.db import connections

    call_command("migrate", interactive=False, verbosity=0)
    assistants = {"plain": make_assistant("plain"), "long": make_assistant("long", document_chars)}
    users = make_users(people)
    made = {
        "cookies": [cookie_of(user) for user in users],
        "assistants": {name: assistant.pk for name, assistant in assistants.items()},
        "history": make_conversation(users[0], assistants["plain"], history_messages),
        "short": make_conversation(users[0], assistants["plain"], 10),
        "paged": make_conversation(users[0], assistants["plain"], 2 * history_messages),
    }
    # When the last connection to SQLite closes, the whole database is in one file.
    connections.close_all()
    json.dump(made, sys.stdout)


def make_assistant(slug: str, document_chars: int = 0) -> Any:
    from chatapp.models import Assistant, Document

    made = Assistant.objects.create(
        name=slug, slug=slug, model="claude-sonnet-5-5", system_prompt="Answer briefly.", is_default=slug == "plain"
    )
    if document_chars:
        line = "What a function returns is what its caller may rely on, and nothing else. "
        text = "".join(f"{number}. {line}" for number in range(document_chars // len(line)))
        Document.objects.create(assistant=made, title="Rules", text=text[:document_chars])
    return made


def make_users(count: int) -> list[Any]:
    from django.contrib.auth.hashers import make_password

    from chatapp.models import User

    password = make_password(None)
    return User.objects.bulk_create([User(username=f"person-{n}", password=password) for n in range(count)])


def cookie_of(user: Any) -> str:
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
    from django.contrib.sessions.backends.db import SessionStore

    session = SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.create()
    return f"sessionid={session.session_key}"


def make_conversation(user: Any, assistant: Any, messages: int) -> str:
    """Alternating questions and answers, each below the one before. The search has them, or would take them in while
    turns are measured."""
    from datetime import timedelta

    from django.utils import timezone

    from chatapp.models import Conversation, Message

    conversation = Conversation.objects.create(user=user, assistant=assistant, title=f"{messages} messages")
    ids = [uuid.uuid4() for _ in range(messages)]
    began = timezone.now() - timedelta(days=1)
    columns = {field.name for field in Message._meta.concrete_fields}
    indexed = {"is_indexed": True} if "is_indexed" in columns else {}
    rows = []
    for number, message_id in enumerate(ids):
        role = "assistant" if number % 2 else "user"
        text = f"{'Answer' if number % 2 else 'Question'} {number}: " + "some words of a talk, " * 6
        rows.append(
            Message(
                id=message_id,
                conversation=conversation,
                parent_id=ids[number - 1] if number else None,
                role=role,
                content=[{"type": "text", "text": text}],
                text=text,
                created_at=began + timedelta(seconds=number),
                finished_at=began + timedelta(seconds=number) if number % 2 else None,
                sender=None if number % 2 else user,
                **indexed,
            )
        )
    Message.objects.bulk_create(rows, batch_size=200)
    return str(conversation.pk)


main(*map(int, sys.argv[1:]))
