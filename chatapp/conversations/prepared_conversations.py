"""Prepared prompts: what the next message of a conversation follows, ready in memory, so that a send only appends.

History is append-only, so what was read, encoded and hashed once is valid until somebody writes. Each writer increments
the conversation's `version` or the assistant's `revision`, and the statement that locks the conversation for a message
reads both: if they differ from those of the prepared one, the history is read again. A conversation with a running
reply is not kept, because the end of the reply becomes part of the history without incrementing a counter.

Bounded in bytes; the least recently used is evicted first. Instructions and documents are held once per assistant.
"""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from chatapp.conversations import containers, prompts, standing_instructions, summaries, toolbox
from chatapp.conversations.branches import tree_of
from chatapp.conversations.containers import Container
from chatapp.conversations.toolbox import NO_TOOLS, Toolbox
from chatapp.models import Assistant, Conversation, Message
from warmcache.core.prefix import Json, Prefix, PreparedPrompt, Turn
from warmcache.services import prepare_prompt

MAX_BYTES = 64 * 1024 * 1024
"""The limit for histories, and also the separate limit for what assistants share."""

OBJECT_BYTES = 512
"""An estimate of what a conversation takes beyond its prompt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """Which state of a conversation and of its assistant was read.

    Branch and edit time also reveal writes that increment no counter: those of processes of an earlier release.
    """

    version: int
    branch_id: UUID | None
    assistant_id: int
    revision: int
    edited_at: datetime


@dataclass(slots=True, kw_only=True, eq=False)
class PreparedConversation:
    """`prompt` is everything up to and with the message `tip_id`, without a draft."""

    conversation_id: UUID
    user_id: int
    mark: Mark
    tip_id: UUID | None
    prompt: PreparedPrompt
    history_hash: str
    """Of what stands before its history: see `prompts.history_hash`."""
    label: str
    container: Container | None = None
    """Where its tools ran last. It is no part of the prompt, and of what is cached."""
    toolbox: Toolbox = NO_TOOLS
    """Who answers the calls of its assistant's tools."""
    outline: Prefix | None = None
    """Computed at the first request, then shared by all sockets that show the conversation in this process."""

    @property
    def size_bytes(self) -> int:
        """Size of its history, without what the assistant shares."""
        return OBJECT_BYTES + self.prompt.size_bytes

    def with_draft(self, blocks: Sequence[Json]) -> PreparedPrompt:
        """The same prompt, followed by what is attached to the next message."""
        return self.prompt.with_draft(blocks) if blocks else self.prompt

    def grown(
        self, turns: Sequence[Turn | None], *, tip_id: UUID, mark: Mark, container: Container | None = None
    ) -> "PreparedConversation":
        """Extended by the turns since then, up to `tip_id`, and by the container of their tools, if they had one."""
        return PreparedConversation(
            conversation_id=self.conversation_id,
            user_id=self.user_id,
            mark=mark,
            tip_id=tip_id,
            prompt=self.prompt.with_turns(*turns),
            history_hash=self.history_hash,
            label=self.label,
            container=container or self.container,
            toolbox=self.toolbox,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """What all conversations of an assistant have in common."""

    prompt: PreparedPrompt
    toolbox: Toolbox


class PreparedConversations:
    """One per process. Its methods may be called in any thread and never block."""

    def __init__(self, *, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._by_id: OrderedDict[UUID, PreparedConversation] = OrderedDict()
        self._shared: OrderedDict[int, tuple[int, datetime, Shared]] = OrderedDict()
        self._bytes = 0
        self._shared_bytes = 0

    def __len__(self) -> int:
        return len(self._by_id)

    @property
    def size_bytes(self) -> int:
        """Size of all histories together."""
        return self._bytes

    @property
    def shared_bytes(self) -> int:
        """Size of the instructions and documents of all assistants."""
        return self._shared_bytes

    def get(self, conversation_id: UUID, mark: Mark) -> PreparedConversation | None:
        """None if it is not kept here, or was read at another mark."""
        with self._lock:
            found = self._by_id.get(conversation_id)
            if found is None or found.mark != mark:
                return None
            self._by_id.move_to_end(conversation_id)
            return found

    def at_version(self, conversation_id: UUID, version: int) -> PreparedConversation | None:
        """For callers that have just learned this version from an event and do not ask the database."""
        with self._lock:
            found = self._by_id.get(conversation_id)
            return found if found is not None and found.mark.version == version else None

    def put(self, prepared: PreparedConversation) -> None:
        """Keeps it, unless it is larger than the whole limit or a newer one is kept already."""
        with self._lock:
            known = self._by_id.get(prepared.conversation_id)
            if known is not None and known.mark.version > prepared.mark.version:
                return
            self._drop(prepared.conversation_id)
            self._by_id[prepared.conversation_id] = prepared
            self._bytes += prepared.size_bytes
            while self._bytes > self._max_bytes:
                self._drop(next(iter(self._by_id)))

    def shared(self, assistant: Assistant) -> Shared | None:
        """That with which all conversations of this assistant begin."""
        with self._lock:
            found = self._shared.get(assistant.pk)
            if found is None or found[:2] != (assistant.revision, assistant.updated_at):
                return None
            self._shared.move_to_end(assistant.pk)
            return found[2]

    def put_shared(self, assistant: Assistant, shared: Shared) -> None:
        with self._lock:
            self._drop_shared(assistant.pk)
            self._shared[assistant.pk] = (assistant.revision, assistant.updated_at, shared)
            self._shared_bytes += OBJECT_BYTES + shared.prompt.shared_size_bytes
            while self._shared_bytes > self._max_bytes:
                self._drop_shared(next(iter(self._shared)))

    def evict(self, conversation_id: UUID) -> None:
        """Drops a deleted conversation."""
        with self._lock:
            self._drop(conversation_id)

    def evict_user(self, user_id: int) -> None:
        """Drops all conversations of a person who has signed out."""
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
            self._shared_bytes -= OBJECT_BYTES + found[2].prompt.shared_size_bytes


store = PreparedConversations()


def mark_of(conversation: Conversation) -> Mark:
    """The mark of a row that was read with its assistant."""
    assistant = conversation.assistant
    return Mark(
        version=conversation.version,
        branch_id=conversation.branch_id,
        assistant_id=assistant.pk,
        revision=assistant.revision,
        edited_at=assistant.updated_at,
    )


def current(conversation: Conversation) -> PreparedConversation | None:
    """The prepared conversation, if it still matches this row. Does not read the database."""
    return store.get(conversation.pk, mark_of(conversation))


# Called in a database thread


def of(conversation: Conversation) -> PreparedConversation:
    """What the next message on the shown branch follows; reads the database if it is not prepared."""
    ready = current(conversation)
    if ready is not None:
        return ready
    tree = tree_of(conversation.pk)
    prepared = _prepared(conversation, tree.branch_through(conversation.branch_id))
    if not tree.is_growing:
        store.put(prepared)
    return prepared


def before(conversation: Conversation, message_id: UUID | None) -> PreparedConversation:
    """What a message with this parent follows, on any branch. Not kept, because the branch may not be the shown one."""
    return _prepared(conversation, tree_of(conversation.pk).path_to(message_id) if message_id else ())


def shared_prompt(assistant: Assistant) -> PreparedPrompt:
    """What the first message of a chat with this assistant follows."""
    return shared_of(assistant).prompt


def shared_of(assistant: Assistant) -> Shared:
    ready = store.shared(assistant)
    if ready is None:
        whole = Assistant.objects.prefetch_related("documents").get(pk=assistant.pk)
        ready = Shared(prompt=prepare_prompt(prompts.prompt_for_new_chat(whole)), toolbox=toolbox.of(whole))
        store.put_shared(whole, ready)
    return ready


def opening(assistant: Assistant, *, cache_salt: str, instructions: str) -> PreparedPrompt:
    """What the first message of a person's chat with this assistant follows."""
    return prompts.personal(shared_prompt(assistant), cache_salt=cache_salt, instructions=instructions)


def _prepared(conversation: Conversation, path: Sequence[Message]) -> PreparedConversation:
    # Read after the mark: if they change in between, the mark is the older one, and everything is read again.
    mark = mark_of(conversation)
    instructions = standing_instructions.of(conversation.user_id)
    before = opening(conversation.assistant, cache_salt=conversation.cache_salt, instructions=instructions)
    history_hash = prompts.history_hash(before, instructions)
    summary = summaries.in_use(conversation.pk, [message.pk for message in path])
    history = prompts.turns_of(path, shared_hash=history_hash, summary=summary)
    return PreparedConversation(
        conversation_id=conversation.pk,
        user_id=conversation.user_id,
        mark=mark,
        tip_id=path[-1].pk if path else None,
        prompt=before.with_turns(*history) if history else before,
        history_hash=history_hash,
        label=conversation.assistant.slug,
        container=containers.of_history(path, shared_hash=history_hash),
        toolbox=shared_of(conversation.assistant).toolbox,
    )
