"""Files that a person attaches: converted to text and kept until they are sent or withdrawn. Synchronous, for views.

The bytes of a file decide its type; its name and declared type come from the sender and prove nothing.
"""

import codecs
import subprocess
import sys
import threading
import unicodedata
from pathlib import Path, PurePath
from uuid import UUID

from chatapp.conversations import access, pdf_text
from chatapp.conversations.storable import storable
from chatapp.models import Attachment, User

MAX_FILE_BYTES = 10 * 1024 * 1024
MAX_CHARS = 400_000
"""About a hundred thousand tokens: a longer text is a library, not a document to ask about."""

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
    attachment = Attachment.objects.create(user=user, name=_safe_name(name), text=text)
    _forget_oldest(user)
    return attachment


def take_back(user: User, attachment_id: UUID) -> None:
    """Deletes an unsent attachment; raises `access.NotFound` for all others."""
    for attachment in access.unsent_attachments(user, [attachment_id]):
        attachment.delete()


def too_large() -> AttachmentRefused:
    return AttachmentRefused(413, f"A file may have at most {MAX_FILE_BYTES // 1024**2} MB.")


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
    if not _readers.acquire(timeout=PDF_PATIENCE_SECONDS):
        raise AttachmentRefused(503, "Too many files are being read just now. Try again in a moment.")
    try:
        read = subprocess.run(  # noqa: S603  our own program, and the file goes in by stdin
            [sys.executable, "-I", str(Path(pdf_text.__file__)), str(MAX_CHARS)],
            input=data,
            capture_output=True,
            timeout=PDF_SECONDS,
            env={},
        )
    except subprocess.TimeoutExpired:
        raise AttachmentRefused(422, "This PDF takes too long to read.") from None
    finally:
        _readers.release()
    if read.returncode == pdf_text.ENCRYPTED:
        raise AttachmentRefused(422, "This PDF is protected by a password.")
    if read.returncode != 0:
        raise AttachmentRefused(422, "This PDF cannot be read.")
    return read.stdout.decode()


def _safe_name(name: str) -> str:
    """The last part of a path, without invisible characters."""
    last = PurePath(name.replace("\\", "/")).name
    shown = "".join(char for char in last if unicodedata.category(char)[0] != "C").strip()
    return shown[: Attachment._meta.get_field("name").max_length] or "file"


def _forget_oldest(user: User) -> None:
    waiting = Attachment.objects.filter(user=user, message=None, queued=None).order_by("-created_at", "-id")
    kept = list(waiting.values_list("pk", flat=True)[: MAX_WAITING + 1])
    if len(kept) > MAX_WAITING:
        waiting.exclude(pk__in=kept[:MAX_WAITING]).delete()
