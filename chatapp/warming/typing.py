"""Turns what a socket reports of its user (opened, typing, attaching) into intents for warmcache."""

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from uuid import UUID

from chatapp.conversations import (
    access,
    attached_texts,
    places,
    prepared_conversations,
    prompts,
    standing_instructions,
)
from chatapp.conversations.attachments import to_send
from chatapp.conversations.branches import tree_of
from chatapp.conversations.prepared_conversations import PreparedConversation
from chatapp.models import Conversation, Message, User
from chatapp.warming import assistant_edits
from chatapp.warming.shared_reads import SharedReads
from warmcache import Intent
from warmcache import services as warmcache
from warmcache.background.database import in_database_thread
from warmcache.core.prefix import Json, Prefix, PreparedPrompt

MAX_OUTLINES = 16
"""Drafts that one socket may have open; the least recently used is dropped."""

MAX_ATTACHED = 200
"""Attachments that are remembered as already named by one socket."""

OUTLINE_LIFETIME_SECONDS = 60.0
"""An assistant edited in another process is noticed after this long at the latest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """The place where a person is writing: a conversation, or a new chat with an assistant."""

    conversation_id: UUID | None = None
    assistant_id: int | None = None
    attachment_ids: tuple[UUID, ...] = ()
    edit_of: UUID | None = None
    """The sent message that is being edited: what it follows is not the end of the conversation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outline:
    prefix: Prefix
    label: str
    made_at: float
    edits: int


class TypingWatch:
    """The prompts of one socket's drafts. Keeps outlines, so that most typing frames cost no SQL and no hashing."""

    def __init__(self, user: User, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._user = user
        self._clock = clock
        self._outlines: OrderedDict[Draft, _Outline] = OrderedDict()
        self._attached: OrderedDict[UUID, None] = OrderedDict()

    async def note_typing(self, draft: Draft, *, chars: int) -> warmcache.Attempt:
        """Decides on a warm-up for this draft; raises `access.NotFound` for what the user may not see."""
        return await self._consider(draft, Intent.ATTACH if self._names_new_attachment(draft) else Intent.TYPING, chars)

    async def note_opened(self, draft: Draft) -> warmcache.Attempt:
        """The same for a chat that was just opened and has no draft yet."""
        return await self._consider(draft, Intent.OPEN, None)

    async def named(self, draft: Draft) -> Draft:
        """The same draft, with the default assistant's id if a new chat names none."""
        if draft.conversation_id is not None or draft.assistant_id is not None:
            return draft
        assistant = await in_database_thread(access.assistant_for_user, self._user, None)
        return replace(draft, assistant_id=assistant.pk)

    async def warmth(self, draft: Draft, *, version: int | None = None) -> warmcache.Warmth:
        """What is believed about this draft's prefix now; makes no decision. `version`: that of the conversation, if
        known already. Equal requests at the same time share one answer."""
        known = self._known(draft)
        if known is None:
            edits = assistant_edits.count()
            loaded = await self._loaded(draft, version)
            prefix = _outline(loaded)
            self._remember(draft, prefix, loaded.label, edits)
        else:
            prefix = known.prefix
        return await _reads.of(prefix, partial(warmcache.warmth_of, prefix))

    async def _loaded(self, draft: Draft, version: int | None = None) -> "_Loaded":
        if version is not None and draft.conversation_id is not None:
            ready = prepared_conversations.store.at_version(draft.conversation_id, version)
            if ready is not None and ready.user_id == self._user.pk and not draft.attachment_ids:
                return _Loaded(prompt=ready.prompt, label=ready.label, ready=ready)
        read = partial(in_database_thread, _load, self._user, draft)
        return await _reads.of((self._user.pk, draft, version), read)

    def forget(self, conversation_id: UUID) -> None:
        """Drops the outlines of a conversation that has grown or is deleted."""
        for draft in [d for d in self._outlines if d.conversation_id == conversation_id]:
            del self._outlines[draft]

    async def _consider(self, draft: Draft, intent: Intent, chars: int | None) -> warmcache.Attempt:
        subject = f"user {self._user.pk}"
        known = self._known(draft)
        if known is not None:
            skipped = await warmcache.consider_prefix(
                known.prefix, intent=intent, label=known.label, subject=subject, chars=chars
            )
            if skipped is not None:
                return skipped
        edits = assistant_edits.count()
        loaded = await self._loaded(draft)
        place = places.place_of(draft.conversation_id) if draft.conversation_id else ""
        attempt = await warmcache.prewarm_prefix(
            loaded.prompt, intent=intent, label=loaded.label, subject=subject, place=place, chars=chars
        )
        self._remember(draft, attempt.prefix, loaded.label, edits)
        return attempt

    def _names_new_attachment(self, draft: Draft) -> bool:
        """Whether this frame is the first that names one of its attachments."""
        new = [attachment_id for attachment_id in draft.attachment_ids if attachment_id not in self._attached]
        for attachment_id in new:
            self._attached[attachment_id] = None
        while len(self._attached) > MAX_ATTACHED:
            self._attached.popitem(last=False)
        return bool(new)

    def _known(self, draft: Draft) -> _Outline | None:
        outline = self._outlines.get(draft)
        if outline is None or outline.edits != assistant_edits.count():
            return None
        if self._clock() - outline.made_at > OUTLINE_LIFETIME_SECONDS:
            return None
        self._outlines.move_to_end(draft)
        return outline

    def _remember(self, draft: Draft, prefix: Prefix, label: str, edits: int) -> None:
        self._outlines[draft] = _Outline(prefix=prefix, label=label, made_at=self._clock(), edits=edits)
        self._outlines.move_to_end(draft)
        while len(self._outlines) > MAX_OUTLINES:
            self._outlines.popitem(last=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Loaded:
    prompt: PreparedPrompt
    label: str
    ready: PreparedConversation | None = None
    """The conversation whose prompt it is, if nothing is attached."""


_reads = SharedReads()


def _load(user: User, draft: Draft) -> _Loaded:
    blocks = prompts.attachment_blocks(to_send(user, draft.attachment_ids))
    if draft.conversation_id is None:
        assistant = access.assistant_for_user(user, draft.assistant_id)
        before = prepared_conversations.opening(
            assistant, cache_salt=user.cache_salt, instructions=standing_instructions.of(user.pk)
        )
        return _Loaded(prompt=before.with_draft(blocks) if blocks else before, label=assistant.slug)
    conversation = access.conversation_for_user(user, draft.conversation_id)
    if draft.edit_of is not None:
        return _before_edited(conversation, access.question_in(conversation, draft.edit_of), blocks)
    ready = prepared_conversations.of(conversation)
    return _Loaded(prompt=ready.with_draft(blocks), label=ready.label, ready=None if blocks else ready)


def _before_edited(conversation: Conversation, edited: Message, attached: Sequence[Json]) -> _Loaded:
    """As the edit will be sent: with the files that the message has, and those that are added."""
    parent_id = tree_of(conversation.pk).parent_of(edited.pk)
    before = prepared_conversations.before(conversation, parent_id)
    kept = attached_texts.put_in([prompts.files_in(edited.content)])[0]
    return _Loaded(prompt=before.with_draft((*kept, *attached)), label=before.label)


def _outline(loaded: _Loaded) -> Prefix:
    """Hashes the prompt, once for all sockets of this process that show it."""
    ready = loaded.ready
    if ready is None:
        return warmcache.outline(loaded.prompt, label=loaded.label)
    if ready.outline is None:
        ready.outline = warmcache.outline(loaded.prompt, label=loaded.label)
    return ready.outline
