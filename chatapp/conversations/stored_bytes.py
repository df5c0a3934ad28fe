"""What one person has stored, beside what was written here: files and imported conversations. Together
they have one limit, and each that is deleted makes room."""

from typing import Any

from django.conf import settings
from django.db.models import Func, IntegerField, QuerySet, Sum
from django.utils.formats import number_format
from django.utils.translation import gettext

from chatapp.models import Attachment, Conversation, User


class ByteLength(Func):
    """The length of a text in UTF-8 bytes."""

    function = "OCTET_LENGTH"
    output_field = IntegerField()

    def as_sqlite(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        return self.as_sql(compiler, connection, template="LENGTH(CAST(%(expressions)s AS BLOB))", **extra)


class QuotaMet(Exception):
    """There is no room. `words` are for the person."""

    def __init__(self, stored_bytes: int) -> None:
        told = gettext(
            "Your files and imports hold %(used)s of %(quota)d MB. Delete a conversation with files, or an import."
        )
        used, quota = stored_bytes / 1024**2, settings.ATTACHMENT_QUOTA_BYTES // 1024**2
        self.words = told % {"used": number_format(used, decimal_pos=1), "quota": quota}
        super().__init__(self.words)


def take_turn(user: User) -> None:
    """Locks the person's row, in the transaction that stores: of many uploads and imports at once, none may overlook
    the others."""
    User.objects.select_for_update(no_key=True).get(pk=user.pk)


def check_room(user: User, more_bytes: int) -> None:
    """Raises `QuotaMet`. Call it in one's turn."""
    stored = stored_bytes(user)
    if stored + more_bytes > settings.ATTACHMENT_QUOTA_BYTES:
        raise QuotaMet(stored)


def stored_bytes(user: User) -> int:
    imported = Conversation.objects.filter(user=user, imported_bytes__gt=0).order_by()
    return _sum(Attachment.objects.filter(user=user).order_by(), "size_bytes") + _sum(imported, "imported_bytes")


def _sum(rows: QuerySet[Attachment] | QuerySet[Conversation], column: str) -> int:
    return int(rows.aggregate(in_all=Sum(column))["in_all"] or 0)
