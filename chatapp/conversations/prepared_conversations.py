"""What the next message of a conversation follows, ready in this process before it is sent: Enter only appends.

History is append-only, so what was read, encoded and hashed once is true until somebody writes. Each writer counts the
conversation's `version` or the assistant's `revision`, and the statement that locks the conversation for a message
reads both: where they are not those of the prepared one, it is read anew. A conversation in which a reply is being
written is not kept, because the end of that reply is part of what follows and counts nothing.

Bounded in bytes; the least recently used goes first. Instructions and documents are held once for each assistant.
"""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from chatapp.conversations import prompts
from chatapp.conversations.branches import tree_of
from chatapp.models import Assistant, Conversation, Message
from warmcache.core.prefix import Json, Prefix, PreparedPrompt, Turn
from warmcache.services import prepare_prompt

MAX_BYTES = 64 * 1024 * 1024
"""Of histories and of what assistants share, each."""

OBJECT_BYTES = 512
"""What a conversation takes beyond its prompt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """Which state of a conversation and of its assistant was read.

    Branch and time of edit would tell by themselves of writers that count nothing: processes of an earlier release.
    """

    version: int
    branch_id: UUID | None
    assistant_id: int
    revision: int
    edited_at: datetime


@dataclass(slots=True, kw_only=True, eq=False)
class PreparedConversation:
    """`prompt` is all that the message behind `tip_id` follows, without a draft."""

    conversation_id: UUID
    user_id: int
    mark: Mark
    tip_id: UUID | None
    prompt: PreparedPrompt
    label: str
    outline: Prefix | None = None
    """Made by whoever asks first, for all who show the conversation here."""

    @property
    def size_bytes(self) -> int:
        """Of its history; what the assistant shares is not counted."""
        return OBJECT_BYTES + self.prompt.size_bytes

    def with_draft(self, blocks: Sequence[Json]) -> PreparedPrompt:
        """The same, followed by what is attached to the next message."""
        return self.prompt.with_draft(blocks) if blocks else self.prompt

    def grown(self, turns: Sequence[Turn], *, tip_id: UUID, mark: Mark) -> "PreparedConversation":
        """With what was said since, up to `tip_id`."""
        return PreparedConversation(
            conversation_id=self.conversation_id,
            user_id=self.user_id,
            mark=mark,
            tip_id=tip_id,
            prompt=self.prompt.with_turns(*turns),
            label=self.label,
        )


class PreparedConversations:
    """One per process. Its methods may be called in any thread and wait for nothing."""

    def __init__(self, *, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._by_id: OrderedDict[UUID, PreparedConversation] = OrderedDict()
        self._shared: OrderedDict[int, tuple[int, datetime, PreparedPrompt]] = OrderedDict()
        self._bytes = 0
        self._shared_bytes = 0

    def __len__(self) -> int:
        return len(self._by_id)

    @property
    def size_bytes(self) -> int:
        """Of all histories together."""
        return self._bytes

    @property
    def shared_bytes(self) -> int:
        """Of the instructions and documents of all assistants."""
        return self._shared_bytes

    def get(self, conversation_id: UUID, mark: Mark) -> PreparedConversation | None:
        """None where it is not here, or was read at another mark."""
        with self._lock:
            found = self._by_id.get(conversation_id)
            if found is None or found.mark != mark:
                return None
            self._by_id.move_to_end(conversation_id)
            return found

    def at_version(self, conversation_id: UUID, version: int) -> PreparedConversation | None:
        """For those who were told that version a moment ago, and ask no database."""
        with self._lock:
            found = self._by_id.get(conversation_id)
            return found if found is not None and found.mark.version == version else None

    def put(self, prepared: PreparedConversation) -> None:
        """Keeps it, unless it is larger than all room there is or a later one is here already."""
        with self._lock:
            known = self._by_id.get(prepared.conversation_id)
            if known is not None and known.mark.version > prepared.mark.version:
                return
            self._drop(prepared.conversation_id)
            self._by_id[prepared.conversation_id] = prepared
            self._bytes += prepared.size_bytes
            while self._bytes > self._max_bytes:
                self._drop(next(iter(self._by_id)))

    def shared(self, assistant: Assistant) -> PreparedPrompt | None:
        """What all conversations with this assistant begin with."""
        with self._lock:
            found = self._shared.get(assistant.pk)
            if found is None or found[:2] != (assistant.revision, assistant.updated_at):
                return None
            self._shared.move_to_end(assistant.pk)
            return found[2]

    def put_shared(self, assistant: Assistant, prompt: PreparedPrompt) -> None:
        with self._lock:
            self._drop_shared(assistant.pk)
            self._shared[assistant.pk] = (assistant.revision, assistant.updated_at, prompt)
            self._shared_bytes += OBJECT_BYTES + prompt.shared_size_bytes
            while self._shared_bytes > self._max_bytes:
                self._drop_shared(next(iter(self._shared)))

    def evict(self, conversation_id: UUID) -> None:
        """The conversation is gone."""
        with self._lock:
            self._drop(conversation_id)

    def evict_user(self, user_id: int) -> None:
        """This person has signed out: nothing of theirs stays in memory."""
        with self._lock:
            for conversation_id in [key for key, found in self._by_id.items() if found.user_id == user_id]:
                self._drop(conversation_id)

    def clear(self) -> None:
        with self._lock:
            self._by_id.clear()
            self._shared.clear()
            self._bytes = self._shared_bytes = 0

    def _drop(self, conversation_id: UUID) -> None:
        if (found := self._by_id.pop(conversation_id, None)) is not None:
            self._bytes -= found.size_bytes

    def _drop_shared(self, assistant_id: int) -> None:
        if (found := self._shared.pop(assistant_id, None)) is not None:
            self._shared_bytes -= OBJECT_BYTES + found[2].shared_size_bytes


store = PreparedConversations()


def mark_of(conversation: Conversation) -> Mark:
    """Of a row that was read with its assistant."""
    assistant = conversation.assistant
    return Mark(
        version=conversation.version,
        branch_id=conversation.branch_id,
        assistant_id=assistant.pk,
        revision=assistant.revision,
        edited_at=assistant.updated_at,
    )


def current(conversation: Conversation) -> PreparedConversation | None:
    """The one that is ready, if it is still true of this row. Reads no database."""
    return store.get(conversation.pk, mark_of(conversation))


# Below: in a database thread


def of(conversation: Conversation) -> PreparedConversation:
    """What the next message on the shown branch follows, read where it is not ready."""
    ready = current(conversation)
    if ready is not None:
        return ready
    tree = tree_of(conversation.pk)
    prepared = _prepared(conversation, tree.branch_through(conversation.branch_id))
    if not tree.is_growing:
        store.put(prepared)
    return prepared


def before(conversation: Conversation, message_id: UUID | None) -> PreparedConversation:
    """What a message follows whose parent this is, on whatever branch. Not kept: it may not be the shown one."""
    return _prepared(conversation, tree_of(conversation.pk).path_to(message_id) if message_id else ())


def shared_prompt(assistant: Assistant) -> PreparedPrompt:
    """What the first message of a chat with this assistant follows."""
    ready = store.shared(assistant)
    if ready is None:
        whole = Assistant.objects.prefetch_related("documents").get(pk=assistant.pk)
        ready = prepare_prompt(prompts.prompt_for_new_chat(whole))
        store.put_shared(whole, ready)
    return ready


def _prepared(conversation: Conversation, path: Sequence[Message]) -> PreparedConversation:
    shared, history = shared_prompt(conversation.assistant), prompts.turns_of(path)
    return PreparedConversation(
        conversation_id=conversation.pk,
        user_id=conversation.user_id,
        mark=mark_of(conversation),
        tip_id=path[-1].pk if path else None,
        prompt=shared.with_turns(*history) if history else shared,
        label=conversation.assistant.slug,
    )
