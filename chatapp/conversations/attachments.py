"""Files that a person attaches: read as text or as a picture and kept until they are sent or withdrawn. Synchronous.

The bytes of a file decide its type; its name and declared type come from the sender and prove nothing.
"""

import codecs
import subprocess
import sys
import threading
import unicodedata
from collections.abc import Collection, Mapping
from datetime import timedelta
from pathlib import Path, PurePath
from tempfile import TemporaryFile
from types import ModuleType
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet, Sum
from django.utils import timezone
from django.utils.formats import number_format
from django.utils.translation import gettext, gettext_noop

from chatapp.conversations import access, attached_texts, image_reader, pdf_text, stored_bytes
from chatapp.conversations.storable import storable
from chatapp.models import Attachment, Message, User
from chatapp.protocol import MAX_ATTACHMENTS, FrameError
from chatapp.protocol.words import ErrorCode

MAX_FILE_BYTES = 10 * 1024 * 1024
MAX_CHARS = 400_000
"""About a hundred thousand tokens: a longer text is a library, not a document to ask about."""

MAX_MESSAGE_BYTES = 4 * 1024 * 1024
"""The text and the pictures of one message: as text about a million tokens, which is as much as any model reads."""

UNSENT_LIFETIME = timedelta(days=1)
"""An unsent file is deleted after this time."""

SWEPT_AT_ONCE = 100
MAX_WAITING = 50
"""The number of unsent files that are kept for one person; the oldest is deleted first."""

PDF_SECONDS = 30.0
PDF_READERS = 2
"""Reader processes at once, of PDF files and of pictures; if all are busy, the upload is refused after a moment."""

PDF_PATIENCE_SECONDS = 10.0
ACCEPTED = (
    ".txt,.md,.markdown,.csv,.tsv,.json,.yaml,.yml,.toml,.xml,.html,.css,.js,.ts,.py,.log,text/*,application/pdf,"
    "image/png,image/jpeg,image/webp,image/gif"
)
"""What a browser's file dialog offers. Other files are accepted too if they are text."""

_BYTE_ORDER_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_PICTURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a")
UNREADABLE = {
    pdf_text: gettext_noop("This PDF cannot be read."),
    image_reader: gettext_noop("This picture cannot be read."),
}
TOO_SLOW = {
    pdf_text: gettext_noop("This PDF takes too long to read."),
    image_reader: gettext_noop("This picture takes too long to read."),
}
_readers = threading.BoundedSemaphore(PDF_READERS)


class AttachmentRefused(Exception):
    """Why a file is refused, in one sentence for the person; `status` is the HTTP status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


TAKEN = gettext_noop("Only text, Markdown, PDF files and pictures (PNG, JPEG, WebP, GIF) can be attached.")
DOCUMENTS = gettext_noop("Only text, Markdown and PDF files can be attached.")


def store(user: User, *, name: str, data: bytes) -> Attachment:
    """Raises `AttachmentRefused` if the file is unreadable, empty or too large."""
    if len(data) > MAX_FILE_BYTES:
        raise too_large()
    if _is_picture(data):
        if settings.LOCAL_MODEL_NOTE:
            # Its server would answer 500, and every later message of the conversation would fail as well.
            told = gettext("The local model reads no pictures, only text, Markdown and PDF files.")
            raise AttachmentRefused(415, told)
        return _kept(user, _picture(data), name=name)
    text = text_of(data, taken=TAKEN)
    if len(text) > MAX_CHARS:
        told = gettext("This file holds more than %(chars)s characters of text.")
        raise AttachmentRefused(413, told % {"chars": number_format(MAX_CHARS, force_grouping=True)})
    return _kept(user, Attachment(text=text, size_bytes=len(text.encode())), name=name)


def _kept(user: User, attachment: Attachment, *, name: str) -> Attachment:
    attachment.user = user
    attachment.name = _safe_name(name)
    try:
        return _saved(user, attachment)
    except stored_bytes.QuotaMet as met:
        raise AttachmentRefused(413, met.words) from None


def _saved(user: User, attachment: Attachment) -> Attachment:
    with transaction.atomic():
        stored_bytes.take_turn(user)
        _forget_oldest(user)
        stored_bytes.check_room(user, attachment.size_bytes)
        attachment.save(force_insert=True)
    return attachment


def text_of(data: bytes, *, max_chars: int = MAX_CHARS, taken: str = DOCUMENTS) -> str:
    """A PDF's text is cut off at one character more than `max_chars`; `taken` says what may come. Raises as `store`."""
    if len(data) > MAX_FILE_BYTES:
        raise too_large()
    is_pdf = data[:1024].lstrip().startswith(b"%PDF-")
    text = storable(_pdf_text(data, max_chars) if is_pdf else _plain_text(data, taken))
    if not text.strip():
        raise AttachmentRefused(422, gettext("There is no text in this file."))
    return text


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
        most = f"at most {MAX_MESSAGE_BYTES // 1024**2} MB of text and pictures together"
        words = f"The files of one message may hold {most}."
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
    return AttachmentRefused(413, gettext("A file may have at most %(mb)d MB.") % {"mb": MAX_FILE_BYTES // 1024**2})


def _sum_of_bytes(attachments: QuerySet[Attachment]) -> int:
    return int(attachments.aggregate(in_all=Sum("size_bytes"))["in_all"] or 0)


def _plain_text(data: bytes, taken: str) -> str:
    encoding = next((name for mark, name in _BYTE_ORDER_MARKS.items() if data.startswith(mark)), "utf-8")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise AttachmentRefused(415, gettext(taken))
    return text.replace("\r\n", "\n")


def _is_picture(data: bytes) -> bool:
    return data.startswith(_PICTURES) or (data.startswith(b"RIFF") and data[8:12] == b"WEBP")


def _pdf_text(data: bytes, max_chars: int) -> str:
    words = {pdf_text.ENCRYPTED: gettext("This PDF is protected by a password.")}
    most_bytes = pdf_text.output_bytes(max_chars)
    printed = _printed_by(pdf_text, str(max_chars), data=data, most_bytes=most_bytes, words=words)
    return printed.decode("utf-8", "replace")


def _picture(data: bytes) -> Attachment:
    """A picture as the model reads it, not saved yet."""
    most = gettext("A picture may have at most %(count)d million pixels.")
    words = {image_reader.TOO_MANY_PIXELS: most % {"count": image_reader.MAX_PIXELS // 1_000_000}}
    most_bytes = image_reader.OUTPUT_BYTES
    printed = _printed_by(image_reader, data=data, most_bytes=most_bytes, words=words)
    head, _, picture = printed.partition(b"\n")
    media_type, width, height = head.decode().split()
    return Attachment(
        picture=picture, media_type=media_type, width=int(width), height=int(height), size_bytes=len(picture)
    )


def _printed_by(program: ModuleType, *arguments: str, data: bytes, most_bytes: int, words: Mapping[int, str]) -> bytes:
    """What a reader makes of the file, in a process of its own. What it prints goes to a file of bounded size and is
    read before the place is given back, so that the two memories together are bounded for each place."""
    if not _readers.acquire(timeout=PDF_PATIENCE_SECONDS):
        raise AttachmentRefused(503, gettext("Too many files are being read just now. Try again in a moment."))
    try:
        with TemporaryFile() as given, TemporaryFile() as printed:
            given.write(data)
            given.seek(0)
            read = subprocess.run(  # noqa: S603  our own program, and the file goes in by stdin
                [sys.executable, "-I", str(Path(str(program.__file__))), *arguments],
                stdin=given,
                stdout=printed,
                stderr=subprocess.DEVNULL,
                timeout=PDF_SECONDS,
                env={},
            )
            if read.returncode != 0:
                raise AttachmentRefused(422, words.get(read.returncode, gettext(UNREADABLE[program])))
            printed.seek(0)
            return printed.read(most_bytes)
    except subprocess.TimeoutExpired:
        raise AttachmentRefused(422, gettext(TOO_SLOW[program])) from None
    finally:
        _readers.release()


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
