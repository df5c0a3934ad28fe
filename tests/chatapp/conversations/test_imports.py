"""Conversations from the archives of this project, of ChatGPT and of Claude."""

import io
import json
import zipfile
from datetime import UTC, datetime
from typing import Any

import pytest

from chatapp.conversations import (
    archive_reader,
    attachments,
    exports,
    imports,
    lists,
    prepared_conversations,
    search,
    search_index,
    stored_bytes,
)
from chatapp.models import Conversation, Message, TitledBy, User
from chatapp.protocol import SearchAsk
from tests.factories import make_assistant, make_conversation, make_message, make_talk, make_user

pytestmark = pytest.mark.django_db

CHATGPT = {
    "title": "Ships",
    "create_time": 1_700_000_000.5,
    "update_time": 1_700_000_500.5,
    "current_node": "e",
    "mapping": {
        "root": {"id": "root", "message": None, "parent": None, "children": ["s"]},
        "s": {
            "parent": "root",
            "message": {"author": {"role": "system"}, "content": {"content_type": "text", "parts": ["Be kind."]}},
        },
        "a": {
            "parent": "s",
            "message": {
                "author": {"role": "user"},
                "create_time": 1_700_000_001,
                "content": {"content_type": "multimodal_text", "parts": [{"asset": "x"}, "Which ship?"]},
            },
        },
        "old": {
            "parent": "a",
            "message": {"author": {"role": "assistant"}, "content": {"content_type": "text", "parts": ["Not shown."]}},
        },
        "c": {
            "parent": "a",
            "message": {"author": {"role": "assistant"}, "content": {"content_type": "code", "text": "search()"}},
        },
        "t": {
            "parent": "c",
            "message": {"author": {"role": "tool"}, "content": {"content_type": "text", "parts": ["{}"]}},
        },
        "d": {
            "parent": "t",
            "message": {
                "author": {"role": "assistant"},
                "content": {"content_type": "text", "parts": ["The blue one."]},
            },
        },
        "e": {
            "parent": "d",
            "message": {"author": {"role": "assistant"}, "content": {"content_type": "text", "parts": ["It sails."]}},
        },
    },
}
CLAUDE = {
    "uuid": "1",
    "name": "Bread",
    "created_at": "2025-03-01T10:00:00.000000Z",
    "updated_at": "2025-03-01T10:05:00.000000Z",
    "chat_messages": [
        {"sender": "human", "text": "How?", "content": [], "created_at": "2025-03-01T10:00:00Z"},
        {
            "sender": "assistant",
            "text": "ignored",
            "content": [{"type": "thinking", "thinking": "Hm."}, {"type": "text", "text": "With flour."}],
            "created_at": "2025-03-01T10:00:05Z",
        },
    ],
}


@pytest.fixture
def ann(db) -> User:
    make_assistant(is_default=True)
    return make_user("ann")


def encoded(found: Any) -> bytes:
    return json.dumps(found).encode()


def zipped(**files: bytes) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name.replace("__", "/"), content)
    return data.getvalue()


def said(title: str) -> list[tuple[str, str]]:
    messages = Conversation.objects.get(title=title).messages.order_by("created_at")
    return [(message.role, message.text) for message in messages]


def test_an_export_of_chatgpt_keeps_the_branch_that_was_shown(ann):
    data = zipped(**{"export__conversations.json": encoded([CHATGPT]), "chat.html": b"<html>"})

    assert imports.store(ann, data) == 1

    assert said("Ships") == [("user", "Which ship?"), ("assistant", "The blue one.\n\nIt sails.")]
    conversation = Conversation.objects.get()
    assert conversation.updated_at == datetime.fromtimestamp(1_700_000_500.5, UTC)
    assert conversation.titled_by == TitledBy.PERSON
    assert prepared_conversations.of(conversation).tip_id == conversation.messages.latest("created_at").pk


def test_an_export_of_claude_has_the_texts_only(ann):
    assert imports.store(ann, encoded([CLAUDE])) == 1

    assert said("Bread") == [("user", "How?"), ("assistant", "With flour.")]


def test_our_own_json_comes_back_as_it_was_shown(ann):
    conversation = make_conversation(ann, title="Harbour")
    talk = make_talk(conversation, ["Which ship?", "The **blue** one.", "Why?", "Because."])
    make_message(conversation, "Why blue?", parent=talk[1], edit_of=talk[2])
    exported = exports.as_json(conversation).content
    conversation.delete()

    imports.store(ann, exported)

    assert [text for _, text in said("Harbour")] == ["Which ship?", "The **blue** one.", "Why blue?"]


def test_what_is_imported_is_listed_and_found_and_is_no_news(ann):
    imports.store(ann, encoded([CLAUDE, CHATGPT]))
    while search_index.index_some():
        pass

    assert [(each.title, each.unread) for each in lists.first_page(ann).conversations] == [
        ("Bread", False),
        ("Ships", False),
    ]
    assert [hit.title for hit in search.look(ann, SearchAsk(query="blue")).hits] == ["Ships"]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "cannot be read"),
        (b"{", "cannot be read"),
        (b"PK\x03\x04 no zip", "cannot be read"),
        (b"[" * 100_000, "cannot be read"),
        (encoded({"a": 1}), "no export"),
        (encoded([1]), "no export"),
        (zipped(**{"other.json": b"[]"}), "no export"),
        (b"[]", "no conversation"),
        (encoded([{"chat_messages": [{"sender": "assistant", "text": "Alone"}]}]), "no conversation"),
        (encoded([{"mapping": {"a": {"parent": "b"}, "b": {"parent": "a"}}, "current_node": "a"}]), "no conversation"),
        (encoded([{"chat_messages": []}] * (archive_reader.MAX_CONVERSATIONS + 1)), "more than can be"),
        (zipped(**{"conversations.json": b" " * (archive_reader.UNPACKED_BYTES + 1)}), "more than can be"),
        (b" " * (imports.MAX_BYTES + 1), "at most 10 MB"),
    ],
)
def test_any_other_file_is_refused_in_words(ann, data, words):
    with pytest.raises(imports.ImportRefused, match=words):
        imports.store(ann, data)

    assert not Conversation.objects.exists()


def test_text_that_no_database_takes_is_cleaned(ann):
    odd = {"name": "\ud800", "chat_messages": [{"sender": "human", "text": "a\0b\udfff"}]}

    imports.store(ann, encoded([odd]))

    assert [text for _, text in said("?")] == ["a\ufffdb?"]


def test_an_import_counts_in_the_bytes_that_a_person_may_store(ann, settings):
    data = encoded([CLAUDE])
    imports.store(ann, data)
    stored = stored_bytes.stored_bytes(ann)

    assert stored == sum(len(text.encode()) for text in Message.objects.values_list("text", flat=True)) > 0
    settings.ATTACHMENT_QUOTA_BYTES = 2 * stored - 1
    with pytest.raises(imports.ImportRefused, match="Your files and imports hold"):
        imports.store(ann, data)
    with pytest.raises(attachments.AttachmentRefused, match="Your files and imports hold"):
        attachments.store(ann, name="a.txt", data=b"x" * stored)
    assert Conversation.objects.count() == 1


def test_a_deleted_import_makes_room(ann, settings):
    imports.store(ann, encoded([CLAUDE]))
    settings.ATTACHMENT_QUOTA_BYTES = stored_bytes.stored_bytes(ann)

    Conversation.objects.all().delete()

    assert imports.store(ann, encoded([CLAUDE])) == 1
