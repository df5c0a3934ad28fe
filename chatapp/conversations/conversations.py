"""Creates, titles and renames conversations, and puts them where their owner wants them; builds the views and events
that pages get of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from asgiref.sync import async_to_sync
from django.db import transaction
from django.db.models import Exists, F, FilteredRelation, OuterRef, Q, QuerySet, Subquery
from django.utils import timezone
from msgspec.structs import replace

from chatapp import events, protocol
from chatapp.conversations import access
from chatapp.conversations.first_words import title_from
from chatapp.conversations.waiting import VIEW_COLUMNS, view_of
from chatapp.models import Assistant, Conversation, Message, TitledBy, User
from chatapp.protocol.limits import LIMITS
from chatapp.protocol.views import AssistantView, ConversationView, QueuedView
from chatapp.protocol.words import ReplyStatus
from warmcache.background.statements import Select, Slot, Update

TEMPORARY_TITLE = "Temporary chat"
"""A temporary conversation gets no other, so that nothing of its text is anywhere else."""


def create(user: User, assistant: Assistant, *, first_text: str, is_temporary: bool = False) -> Conversation:
    return Conversation.objects.create(
        user=user,
        assistant=assistant,
        title=TEMPORARY_TITLE if is_temporary else title_from(first_text),
        is_temporary=is_temporary,
        cache_salt=user.cache_salt,
        read_at=timezone.now(),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """What every socket of a conversation's owner needs to know of it, so that none has to ask the database."""

    user_id: int
    view: ConversationView
    version: int
    is_written: bool = False
    """Whether a reply is being written in the conversation."""


def touch(conversation: Conversation, *, branch: Message) -> None:
    """Makes a conversation with a new message the newest one of the list, and shows the branch through that message.
    Who writes has read what was there.

    Call it under the lock of the conversation's row, so that the version counted here is the stored one.
    """
    now = timezone.now()
    _TOUCH.run(id=conversation.pk, updated_at=now, branch=branch.pk)
    conversation.updated_at, conversation.read_at, conversation.branch = now, now, branch
    conversation.archived_at = None
    conversation.version += 1


_TOUCH = Update(
    lambda: Conversation.objects.filter(pk=Slot("id", Conversation)),
    lambda: {
        "updated_at": Slot("updated_at", Conversation),
        "read_at": Slot("updated_at", Conversation),
        "archived_at": None,
        "branch": Slot("branch", Conversation),
        "version": F("version") + 1,
    },
)


def rename(conversation: Conversation, title: str) -> None:
    """Sets the title and notifies every socket of the owner. Synchronous: for views."""
    conversation.title = title.strip()[: Conversation._meta.get_field("title").max_length]
    conversation.titled_by = TitledBy.PERSON
    conversation.save(update_fields=["title", "titled_by"])
    _tell_now(conversation.pk)


def pin(conversation: Conversation, *, is_pinned: bool) -> bool:
    """To the top of the list, or back. False: too many are there. Synchronous: for views."""
    others = Conversation.objects.filter(user=conversation.user_id, deleted_at=None).exclude(pk=conversation.pk)
    if is_pinned and others.exclude(pinned_at=None).count() >= LIMITS["pinned_conversations"]:
        return False
    conversation.pinned_at = timezone.now() if is_pinned else None
    conversation.archived_at = None
    conversation.save(update_fields=["pinned_at", "archived_at"])
    _tell_now(conversation.pk)
    return True


def archive(conversation: Conversation, *, is_archived: bool) -> None:
    """Out of the list, until it is brought back or written in. Synchronous: for views."""
    conversation.archived_at = timezone.now() if is_archived else None
    conversation.pinned_at = None
    conversation.save(update_fields=["pinned_at", "archived_at"])
    _tell_now(conversation.pk)


def go_on_with(user: User, conversation_id: UUID, assistant_id: int) -> bool:
    """Another assistant answers from now on, and reads everything anew. False: a reply is being written. Raises
    `access.NotFound`. Synchronous: for views."""
    assistant = access.assistant_for_user(user, assistant_id)
    with transaction.atomic():
        # The same lock as for a message: what is sent at the same moment goes to one of the two, whole.
        conversation = access.conversation_for_user(user, conversation_id, to_write=True)
        if conversation.messages.filter(status=ReplyStatus.STREAMING).exists():
            return False
        # So is the version: without a change there is nothing to read anew.
        own = Conversation.objects.filter(pk=conversation_id).exclude(assistant=assistant)
        own.update(assistant=assistant, version=F("version") + 1)
    _tell_now(conversation_id)
    return True


def note_read(user: User, conversation_id: UUID) -> News | None:
    """Its owner has seen all of it. None if there is no such conversation of the user's."""
    own = Conversation.objects.filter(pk=conversation_id, user=user, deleted_at=None)
    return news_of(conversation_id) if own.update(read_at=timezone.now()) else None


def _tell_now(conversation_id: UUID) -> None:
    news = news_of(conversation_id)
    if news is not None:
        async_to_sync(tell)(news)


def news_of(conversation_id: UUID) -> News | None:
    """Read from the current rows in one statement; None if there is no such conversation."""
    rows = _NEWS.rows(id=conversation_id)
    if not rows:
        return None
    own = dict(zip(_OWN_COLUMNS, rows[0], strict=False))
    is_running, ended_at = (own.pop(name) for name in MARKS)
    waiting = [dict(zip(VIEW_COLUMNS, row[len(_OWN_COLUMNS) :], strict=True)) for row in rows]
    queued = [view_of(columns) for columns in waiting if columns["id"]]
    conversation = Conversation(**own)
    is_unread = has_news(conversation, ended_at)
    view = conversation_view(conversation, queued, is_running=is_running, is_unread=is_unread)
    return News(user_id=conversation.user_id, view=view, version=conversation.version, is_written=is_running)


def with_marks(conversations: QuerySet[Conversation]) -> QuerySet[Conversation]:
    """Each with `MARKS`: whether a reply runs in it, and when the newest one ended."""
    messages = Message.objects.filter(conversation=OuterRef("pk"))
    running = messages.filter(status=ReplyStatus.STREAMING)
    newest = messages.filter(role=Message.Role.ASSISTANT).order_by("-created_at")
    return conversations.annotate(is_running=Exists(running), ended_at=Subquery(newest.values("finished_at")[:1]))


def has_news(conversation: Conversation, ended_at: datetime | None) -> bool:
    """Whether its newest reply has ended since its owner was there."""
    return ended_at is not None and conversation.read_at is not None and ended_at > conversation.read_at


MARKS = ("is_running", "ended_at")
_OWN_COLUMNS = (
    *("id", "user_id", "version", "title", "assistant_id", "created_at", "updated_at", "branch_id"),
    *("pinned_at", "archived_at", "read_at", "is_temporary"),
    *MARKS,
)
_NEWS = Select(
    lambda: (
        with_marks(Conversation.objects.filter(pk=Slot("id", Conversation), deleted_at=None))
        .annotate(waiting=FilteredRelation("queued", condition=Q(queued__withdrawn_at=None)))
        .order_by("waiting__id")
        .values_list(*_OWN_COLUMNS, *(F(f"waiting__{name}") for name in VIEW_COLUMNS))
    )
)


def news_after_message(conversation: Conversation, waiting: Sequence[QueuedView]) -> News:
    """For a row under whose lock a reply was begun."""
    return News(
        user_id=conversation.user_id,
        view=conversation_view(conversation, waiting, is_running=True),
        version=conversation.version,
        is_written=True,
    )


async def tell(news: News, *, begun: events.Begun | None = None, also: str = "") -> None:
    """Notifies every socket of the owner, of a turn that has begun too. `also`: one more frame for those that have the
    conversation open."""
    whole = protocol.encode(protocol.ConversationUpdated(conversation=news.view))
    light = whole
    if news.view.queue:
        light = protocol.encode(protocol.ConversationUpdated(conversation=replace(news.view, queue=[])))
    await events.announce_conversation(
        news.user_id,
        news.view.id,
        frame=whole,
        light_frame=light,
        version=news.version,
        is_written=news.is_written,
        begun=begun,
        also=also,
    )


def conversation_view(
    conversation: Conversation, queue: Sequence[QueuedView] = (), *, is_running: bool = False, is_unread: bool = False
) -> ConversationView:
    """`queue`: the messages that wait in it; lists of conversations leave it out."""
    return ConversationView(
        id=conversation.pk,
        title=conversation.title,
        assistant_id=conversation.assistant_id,
        created_at=conversation.created_at,
        updated_at=conversation.updated_at,
        branch=conversation.branch_id,
        queue=list(queue),
        pinned=conversation.pinned_at is not None,
        archived=conversation.archived_at is not None,
        temporary=conversation.is_temporary,
        running=is_running,
        unread=is_unread,
    )


def deleted_view(conversation_id: UUID) -> ConversationView:
    """The view of a deleted conversation: only its id and `deleted` have a meaning."""
    now = timezone.now()
    return ConversationView(id=conversation_id, title="", assistant_id=0, created_at=now, updated_at=now, deleted=True)


def assistant_view(assistant: Assistant) -> AssistantView:
    return AssistantView(
        id=assistant.pk,
        name=assistant.name,
        slug=assistant.slug,
        model=assistant.model,
        description=assistant.description,
        suggestions=[line for line in map(str.strip, assistant.suggestions.splitlines()) if line],
    )
