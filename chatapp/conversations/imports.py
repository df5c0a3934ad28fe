"""Conversations from an archive: read by a process of its own, stored some at a time. Synchronous, for views.

Nothing is warmed for them before their owner writes in them.
"""

import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from tempfile import TemporaryFile
from typing import Literal

import msgspec
from django.db import transaction
from django.utils import timezone
from django.utils.formats import number_format
from django.utils.translation import gettext, gettext_noop

from chatapp.conversations import access, archive_reader, stored_bytes
from chatapp.conversations.first_words import title_from
from chatapp.conversations.storable import storable
from chatapp.models import Assistant, Conversation, Message, TitledBy, User

MAX_BYTES = 10 * 1024 * 1024
MAX_CONVERSATIONS = 20_000
"""Of one person, with those that are there already."""

READ_SECONDS = 30.0
PATIENCE_SECONDS = 10.0
CONVERSATIONS_AT_ONCE = 20
"""In one transaction, so that the writes of others need not wait for long."""

ACCEPTED = ".zip,.json,application/zip,application/json"
_reader = threading.BoundedSemaphore(1)
_REFUSALS = {
    archive_reader.UNKNOWN: gettext_noop("This is no export of Warmcache, ChatGPT or Claude."),
    archive_reader.TOO_LARGE: gettext_noop("This archive holds more than can be imported at once."),
}


class ImportRefused(Exception):
    """Why an archive is refused, in one sentence for the person; `status` is the HTTP status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class _Said(msgspec.Struct, frozen=True):
    role: Literal["user", "assistant"]
    text: str
    created_at: float | None


class _Archived(msgspec.Struct, frozen=True):
    title: str
    updated_at: float | None
    messages: list[_Said]


def store(user: User, data: bytes) -> int:
    """Returns how many conversations there are now more; raises `ImportRefused` and `access.NotFound`."""
    if len(data) > MAX_BYTES:
        raise ImportRefused(413, gettext("An archive may have at most %(mb)d MB.") % {"mb": MAX_BYTES // 1024**2})
    assistant = access.assistant_for_user(user, None)
    archived = _read(data)
    if not archived:
        raise ImportRefused(422, gettext("There is no conversation in this archive."))
    if user.conversations.count() + len(archived) > MAX_CONVERSATIONS:
        told = gettext("A person may have at most %(count)s conversations.")
        raise ImportRefused(413, told % {"count": number_format(MAX_CONVERSATIONS, force_grouping=True)})
    # The oldest first: the search shows what was stored last first.
    _check_room(user, sum(map(_bytes_of, archived)))
    waiting = iter(sorted(archived, key=lambda each: each.updated_at or 0))
    while some := list(islice(waiting, CONVERSATIONS_AT_ONCE)):
        _store(user, assistant, some)
    return len(archived)


def _read(data: bytes) -> Sequence[_Archived]:
    if not _reader.acquire(timeout=PATIENCE_SECONDS):
        raise ImportRefused(503, gettext("Another archive is being read just now. Try again in a moment."))
    try:
        with TemporaryFile() as given, TemporaryFile() as printed:
            given.write(data)
            given.seek(0)
            read = subprocess.run(  # noqa: S603  our own program, and the file goes in by stdin
                [sys.executable, "-I", str(Path(archive_reader.__file__))],
                stdin=given,
                stdout=printed,
                stderr=subprocess.DEVNULL,
                timeout=READ_SECONDS,
                env={},
            )
            if read.returncode != 0:
                unreadable = gettext_noop("This archive cannot be read.")
                raise ImportRefused(422, gettext(_REFUSALS.get(read.returncode, unreadable)))
            printed.seek(0)
            return [msgspec.json.decode(line, type=_Archived) for line in printed if line.strip()]
    except subprocess.TimeoutExpired:
        raise ImportRefused(422, gettext("This archive takes too long to read.")) from None
    finally:
        _reader.release()


def _store(user: User, assistant: Assistant, archived: Sequence[_Archived]) -> None:
    now = timezone.now()
    made = [(_conversation(user, assistant, each, now), each) for each in archived]
    with transaction.atomic():
        # Again: another import may have come between.
        _check_room(user, sum(conversation.imported_bytes for conversation, _ in made))
        Conversation.objects.bulk_create(conversation for conversation, _ in made)
        messages = [message for conversation, each in made for message in _messages(conversation, each)]
        Message.objects.bulk_create(messages, batch_size=100)


def _check_room(user: User, more_bytes: int) -> None:
    try:
        with transaction.atomic():
            stored_bytes.take_turn(user)
            stored_bytes.check_room(user, more_bytes)
    except stored_bytes.QuotaMet as met:
        raise ImportRefused(413, met.words) from None


def _bytes_of(archived: _Archived) -> int:
    return sum(len(said.text.encode("utf-8", "replace")) for said in archived.messages)


def _conversation(user: User, assistant: Assistant, archived: _Archived, now: datetime) -> Conversation:
    times = [archived.updated_at, *(said.created_at for said in archived.messages)]
    newest = max((at for at in times if at is not None), default=None)
    title = storable(archived.title).strip()
    return Conversation(
        user=user,
        assistant=assistant,
        title=title or title_from(storable(archived.messages[0].text)),
        titled_by=TitledBy.PERSON,
        cache_salt=user.cache_salt,
        updated_at=now if newest is None else min(now, datetime.fromtimestamp(newest, UTC)),
        read_at=now,
        imported_bytes=_bytes_of(archived),
    )


def _messages(conversation: Conversation, archived: _Archived) -> Iterator[Message]:
    before: Message | None = None
    for said in archived.messages:
        text = storable(said.text)
        at = conversation.updated_at if said.created_at is None else datetime.fromtimestamp(said.created_at, UTC)
        if before is not None:
            # Rows are read in order of creation.
            at = max(at, before.created_at + timedelta(microseconds=1))
        is_reply = said.role == "assistant"
        before = Message(
            conversation=conversation,
            parent=before,
            role=Message.Role.ASSISTANT if is_reply else Message.Role.USER,
            text=text,
            content=[{"type": "text", "text": text}],
            sender=None if is_reply else conversation.user,
            created_at=at,
            finished_at=at if is_reply else None,
        )
        yield before
