"""A conversation as a file for its owner: the shown branch as Markdown to read, or all branches as JSON.

Without thinking, tool data and costs, and with the names of attached files only. The JSON also has the summaries that
the assistant gets in place of an earlier part, and says which messages these are. Called by views.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import msgspec

from chatapp.conversations import summaries, toolbox
from chatapp.conversations.acks import attached_images, attached_names
from chatapp.conversations.branches import MessageTree, tree_of
from chatapp.models import Conversation, Message, Summary

FORMAT = "warmcache.conversation"
VERSION = 1
UNTITLED = "Conversation"


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """A file to download."""

    name: str
    content_type: str
    content: bytes


def as_markdown(conversation: Conversation) -> Export:
    tree = tree_of(conversation.pk)
    parts = "\n\n".join(_markdown_parts(conversation, tree))
    return Export(
        name=f"{_file_name(conversation)}.md",
        content_type="text/markdown; charset=utf-8",
        content=f"{parts}\n".encode(),
    )


def as_json(conversation: Conversation) -> Export:
    tree = tree_of(conversation.pk)
    branch = [message.pk for message in tree.branch_through(conversation.branch_id)]
    shown = set(branch)
    summarised = _summarised(conversation, branch)
    told = {
        "format": FORMAT,
        "version": VERSION,
        "title": conversation.title,
        "assistant": conversation.assistant.name,
        "created_at": conversation.created_at,
        "messages": [
            {
                **_message(message, tree, is_shown=message.pk in shown),
                "is_summarised": message.pk in summarised,
            }
            for message in tree.messages
        ],
        "summaries": [_summary(each) for each in summaries.written_in(conversation.pk)],
    }
    content = msgspec.json.format(msgspec.json.encode(told), indent=2)
    return Export(name=f"{_file_name(conversation)}.json", content_type="application/json", content=content)


def _markdown_parts(conversation: Conversation, tree: MessageTree) -> Iterator[str]:
    yield f"# {' '.join(conversation.title.split()) or UNTITLED}"
    yield f"{conversation.assistant.name}, {conversation.created_at:%Y-%m-%d}"
    for message in tree.branch_through(conversation.branch_id):
        is_reply = message.role == Message.Role.ASSISTANT
        yield f"## {(message.assistant_name or conversation.assistant.name) if is_reply else 'You'}"
        if not is_reply and (names := _names(message)):
            yield "Attached: " + ", ".join(names)
        if text := text_of(message).strip():
            yield text


def _message(message: Message, tree: MessageTree, *, is_shown: bool) -> dict[str, Any]:
    is_reply = message.role == Message.Role.ASSISTANT
    return {
        "id": message.pk,
        "parent_id": tree.parent_of(message.pk),
        "role": message.role,
        "text": text_of(message),
        "created_at": message.created_at,
        "status": message.status,
        "model": message.model or None,
        "assistant": message.assistant_name or None,
        "attachments": [] if is_reply else _names(message),
        "is_shown": is_shown,
    }


def _summarised(conversation: Conversation, branch: Sequence[UUID]) -> set[UUID]:
    """Of the shown branch, what the assistant gets a summary of instead."""
    summary = summaries.in_use(conversation.pk, branch)
    return set() if summary is None else set(branch[: branch.index(summary.through_id) + 1])


def _summary(summary: Summary) -> dict[str, Any]:
    return {
        "text": summary.text,
        "through_id": summary.through_id,
        "used_from_id": summary.used_from_id,
        "created_at": summary.written_at or summary.began_at,
        "model": summary.model or None,
    }


def text_of(message: Message) -> str:
    """With the structured answer of a reply, as code."""
    answer = toolbox.answer_in(message.content) if message.role == Message.Role.ASSISTANT else None
    if answer is None:
        return message.text
    code = f"```json\n{json.dumps(answer, indent=2, ensure_ascii=False)}\n```"
    return f"{message.text.strip()}\n\n{code}".strip()


def _file_name(conversation: Conversation) -> str:
    """Of letters and digits of any script: a title may hold what a file's name may not."""
    words = "".join(each if each.isalnum() else " " for each in conversation.title).split()
    return "-".join(words)[:60] or UNTITLED


def _names(message: Message) -> list[str]:
    return [*attached_names(message), *(image.name for image in attached_images(message))]
