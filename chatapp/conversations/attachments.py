"""Files that a person attaches: converted to text and kept until they are sent or withdrawn. Synchronous, for views.

The bytes of a file decide its type; its name and declared type come from the sender and prove nothing.
"""

import codecs
import subprocess
import sys
import threading
import unicodedata
from collections.abc import Collection
from datetime import timedelta
from pathlib import Path, PurePath
from tempfile import TemporaryFile
from typing import IO
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet, Sum
from django.utils import timezone

from chatapp.conversations import access, attached_texts, pdf_text, stored_bytes
from chatapp.conversations.storable import storable
from chatapp.models import Attachment, Message, User
from chatapp.protocol import MAX_ATTACHMENTS, FrameError
from chatapp.protocol.words import ErrorCode

MAX_FILE_BYTES = 10 * 1024 * 1024
MAX_CHARS = 400_000
"""About a hundred thousand tokens: a longer text is a library, not a document to ask about."""

MAX_MESSAGE_BYTES = 4 * 1024 * 1024
"""The text of all files of one message: about a million tokens, which is as much as any model reads."""

UNSENT_LIFETIME = timedelta(days=1)
"""An unsent file is deleted after this time."""

SWEPT_AT_ONCE = 100
MAX_WAITING = 50
"""The number of unsent files that are kept for one person; the oldest is deleted first."""

PDF_SECONDS = 30.0
PDF_READERS = 2
"""Reader processes at once; if all are busy, the upload is refused after a moment."""

PDF_PATIENCE_SECONDS = 10.0
ACCEPTED = ".txt,.md,.markdown,.csv,.tsv,.json,.yaml,.yml,.toml,.xml,.html,.css,.js,.ts,.py,.log,text/*,application/pdf"
"""What a browser's file dialog offers. Other files are accepted too if they are text."""

_BYTE_ORDER_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_readers = threading.BoundedSemaphore(PDF_READERS)


class AttachmentRefused(Exception):
    """Why a file is refused, in one sentence for the person; `status` is the HTTP status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def store(user: User, *, name: str, data: bytes) -> Attachment:
    """Raises `AttachmentRefused` if the file is unreadable, empty or too large."""
    if len(data) > MAX_FILE_BYTES:
        raise too_large()
    text = storable(_pdf_text(data) if data[:1024].lstrip().startswith(b"%PDF-") else _plain_text(data))
    if not text.strip():
        raise AttachmentRefused(422, "There is no text in this file.")
    if len(text) > MAX_CHARS:
        raise AttachmentRefused(413, f"This file holds more than {MAX_CHARS:,} characters of text.")
    try:
        return _store(user, _safe_name(name), text)
    except stored_bytes.QuotaMet as met:
        raise AttachmentRefused(413, met.words) from None


def _store(user: User, name: str, text: str) -> Attachment:
    size_bytes = len(text.encode())
    with transaction.atomic():
        stored_bytes.take_turn(user)
        _forget_oldest(user)
        stored_bytes.check_room(user, size_bytes)
        return Attachment.objects.create(user=user, name=name, text=text, size_bytes=size_bytes)


def to_send(user: User, attachment_ids: Collection[UUID], *, edit_of: Message | None = None) -> list[Attachment]:
    """Unsent files of the user that fit into one message, beside those that an edited message keeps.

    Raises `access.NotFound` and `FrameError`.
    """
    attachments = access.unsent_attachments(user, attachment_ids)
    kept_ids = [] if edit_of is None else attached_texts.ids_in(edit_of.content)
    if not (attachments or kept_ids):
        return []
    if len(attachments) + len(kept_ids) > MAX_ATTACHMENTS:
        raise FrameError(ErrorCode.MESSAGE_TOO_LARGE, f"At most {MAX_ATTACHMENTS} files go with one message.")
    size_bytes = sum(each.size_bytes for each in attachments)
    size_bytes += _sum_of_bytes(Attachment.objects.filter(pk__in=kept_ids)) if kept_ids and attachments else 0
    if size_bytes > MAX_MESSAGE_BYTES:
        words = f"The files of one message may hold at most {MAX_MESSAGE_BYTES // 1024**2} MB of text together."
        raise FrameError(ErrorCode.MESSAGE_TOO_LARGE, words)
    return attachments


def sweep() -> int:
    """Deletes files that were not sent within their lifetime, in small transactions; returns how many."""
    count = 0
    while True:
        old = Attachment.objects.filter(message=None, queued=None, created_at__lt=timezone.now() - UNSENT_LIFETIME)
        ids = list(old.order_by().values_list("pk", flat=True)[:SWEPT_AT_ONCE])
        count += old.filter(pk__in=ids).delete()[0]
        if len(ids) < SWEPT_AT_ONCE:
            return count


def take_back(user: User, attachment_id: UUID) -> None:
    """Deletes an unsent attachment; raises `access.NotFound` for all others."""
    for attachment in access.unsent_attachments(user, [attachment_id]):
        attachment.delete()


def too_large() -> AttachmentRefused:
    return AttachmentRefused(413, f"A file may have at most {MAX_FILE_BYTES // 1024**2} MB.")


def _sum_of_bytes(attachments: QuerySet[Attachment]) -> int:
    return int(attachments.aggregate(in_all=Sum("size_bytes"))["in_all"] or 0)


def _plain_text(data: bytes) -> str:
    encoding = next((name for mark, name in _BYTE_ORDER_MARKS.items() if data.startswith(mark)), "utf-8")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise AttachmentRefused(415, "Only text, Markdown and PDF files can be attached.")
    return text.replace("\r\n", "\n")


def _pdf_text(data: bytes) -> str:
    """Read by a process of its own. What it prints goes to a file of bounded size and is decoded before the place is
    given back, so that the two memories together are bounded for each place."""
    if not _readers.acquire(timeout=PDF_PATIENCE_SECONDS):
        raise AttachmentRefused(503, "Too many files are being read just now. Try again in a moment.")
    try:
        with TemporaryFile() as given, TemporaryFile() as printed:
            given.write(data)
            given.seek(0)
            _read_pdf(given, printed)
            printed.seek(0)
            return printed.read(pdf_text.output_bytes(MAX_CHARS)).decode("utf-8", "replace")
    finally:
        _readers.release()


def _read_pdf(given: IO[bytes], printed: IO[bytes]) -> None:
    try:
        read = subprocess.run(  # noqa: S603  our own program, and the file goes in by stdin
            [sys.executable, "-I", str(Path(pdf_text.__file__)), str(MAX_CHARS)],
            stdin=given,
            stdout=printed,
            stderr=subprocess.DEVNULL,
            timeout=PDF_SECONDS,
            env={},
        )
    except subprocess.TimeoutExpired:
        raise AttachmentRefused(422, "This PDF takes too long to read.") from None
    if read.returncode == pdf_text.ENCRYPTED:
        raise AttachmentRefused(422, "This PDF is protected by a password.")
    if read.returncode != 0:
        raise AttachmentRefused(422, "This PDF cannot be read.")


def _safe_name(name: str) -> str:
    """The last part of a path, without invisible characters."""
    last = PurePath(name.replace("\\", "/")).name
    shown = "".join(char for char in last if unicodedata.category(char)[0] != "C").strip()
    return shown[: Attachment._meta.get_field("name").max_length] or "file"


def _forget_oldest(user: User) -> None:
    waiting = Attachment.objects.filter(user=user, message=None, queued=None).order_by("-created_at", "-id")
    kept = list(waiting.values_list("pk", flat=True)[:MAX_WAITING])
    # Room for the one that is coming.
    if len(kept) >= MAX_WAITING:
        waiting.exclude(pk__in=kept[: MAX_WAITING - 1]).delete()
