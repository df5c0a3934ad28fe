"""The texts and pictures of attached files, put in where a stored message only names them, and passages of documents as
the API takes them. Called in a database thread.

A file is stored once, in its own row: an edit of a message with files, or a page that shows it, copies nothing.
Messages from before that hold the texts themselves and stay as they are.
"""

import base64
from collections.abc import Collection, Iterable, Mapping, Sequence
from uuid import UUID

from chatapp.conversations import question_passages
from chatapp.models import Attachment
from warmcache.core.prefix import Json

REFERENCE = "attachment"
"""The `type` of a source that is a reference; the API knows none of this name."""

DELETED = "(The file {name} was attached here and is deleted.)"


def reference_to(attachment: Attachment) -> Json:
    """The block of a stored message."""
    source = {"type": REFERENCE, "id": str(attachment.pk)}
    if attachment.media_type:
        sized = {**source, "width": attachment.width, "height": attachment.height}
        return {"type": "image", "title": attachment.name, "source": sized}
    return {"type": "document", "title": attachment.name, "source": source}


def document(attachment: Attachment) -> Json:
    """The block of a request. A picture's has no name there: the API knows none."""
    if attachment.media_type:
        data = base64.b64encode(attachment.picture or b"").decode("ascii")
        return {"type": "image", "source": {"type": "base64", "media_type": attachment.media_type, "data": data}}
    source = {"type": "text", "media_type": "text/plain", "data": attachment.text}
    return {"type": "document", "title": attachment.name, "source": source}


def ids_in(content: Iterable[Json]) -> list[UUID]:
    """The files that a stored message names."""
    sources = (block.get("source") for block in content if block.get("type") in ("document", "image"))
    return [UUID(source["id"]) for source in sources if isinstance(source, Mapping) and source["type"] == REFERENCE]


def sizes_of(attachment_ids: Collection[UUID]) -> dict[UUID, tuple[bool, int]]:
    """Whether each is a picture, and its bytes, without reading it."""
    found = Attachment.objects.filter(pk__in=attachment_ids).values_list("pk", "media_type", "size_bytes")
    return {pk: (bool(media_type), size_bytes) for pk, media_type, size_bytes in found}


def put_in(contents: Sequence[Sequence[Json]], *, known: Iterable[Attachment] = ()) -> list[list[Json]]:
    """The same with texts, read in one statement unless all are `known`. A file that was deleted is told as such."""
    attachments = {each.pk: each for each in known}
    named = {attachment_id for content in contents for attachment_id in ids_in(content)}
    if missing := named - attachments.keys():
        attachments |= Attachment.objects.in_bulk(missing)
    return [[_whole(block, attachments) for block in content] for content in contents]


def _whole(block: Json, attachments: Mapping[UUID, Attachment]) -> Json:
    if question_passages.is_passages(block):
        return question_passages.as_sent(block)
    named = ids_in([block])
    if not named:
        return block
    found = attachments.get(named[0])
    return {"type": "text", "text": DELETED.format(name=block["title"])} if found is None else document(found)
