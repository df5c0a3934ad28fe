"""Everything that a person wrote and got, as a ZIP archive: made while it is sent, one conversation or file in memory
at a time."""

import zipfile
from collections.abc import AsyncIterator, Iterator
from typing import Any

import msgspec
from django.utils import timezone

from chatapp.conversations import exports, shared_links
from chatapp.models import Attachment, Conversation, User
from warmcache.background.database import in_database_thread

README = """account.json          who you are here, your standing instructions, shared links, tools you always allow
conversations/*.json  each conversation with all its versions, and the summaries that its assistant gets of earlier
                      parts; this chat can import them, without the summaries
files/*               the text of the files that you attached
"""


class _Sink:
    """What a ZIP archive is written to; it is never read back."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._parts.append(bytes(data))
        return len(data)

    def flush(self) -> None: ...

    def take(self) -> bytes:
        parts, self._parts = self._parts, []
        return b"".join(parts)


async def archive_of(user: User) -> AsyncIterator[bytes]:
    """The archive in parts. The database is read in its own threads."""
    sink = _Sink()
    archive = zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED)  # type: ignore[call-overload]
    files = _files_of(user)
    while (file := await in_database_thread(next, files, None)) is not None:
        archive.writestr(*file)
        yield sink.take()
    archive.close()
    yield sink.take()


def _files_of(user: User) -> Iterator[tuple[str, bytes]]:
    yield "README.txt", README.encode()
    yield "account.json", msgspec.json.format(msgspec.json.encode(_about(user)), indent=2)
    # What is deleted is gone for its owner, also in the moment before its rows are.
    conversations = Conversation.objects.filter(user=user, deleted_at=None)
    for pk in list(conversations.order_by("created_at").values_list("pk", flat=True)):
        conversation = conversations.select_related("assistant").filter(pk=pk).first()
        if conversation is not None:
            export = exports.as_json(conversation)
            yield f"conversations/{str(pk)[:8]}-{export.name}", export.content
    for pk in list(Attachment.objects.filter(user=user).order_by("created_at").values_list("pk", flat=True)):
        attachment = Attachment.objects.filter(pk=pk).first()
        if attachment is not None:
            yield f"files/{str(pk)[:8]}-{_safe(attachment.name)}.txt", attachment.text.encode()


def _about(user: User) -> dict[str, Any]:
    return {
        "username": user.username,
        "email": user.email,
        "identities": list(user.identities.values("issuer", "subject", "linked_at")),
        "joined_at": user.date_joined,
        "last_sign_in_at": user.last_login,
        "exported_at": timezone.now(),
        "standing_instructions": user.instructions,
        "shared_links": [
            {"title": each.title, "shared_at": each.created_at, "expires_at": each.expires_at}
            for each in shared_links.of(user)
        ],
        "always_allowed_tools": [
            {"server": each.tool.server.name, "tool": each.tool.name, "allowed_at": each.created_at}
            for each in user.mcp_consents.select_related("tool__server").order_by("created_at")
        ],
    }


def _safe(name: str) -> str:
    """A file's name may hold what is a path elsewhere."""
    return "".join(each if each.isalnum() or each in "-_ ." else "_" for each in name).lstrip(".")[:80] or "file"
