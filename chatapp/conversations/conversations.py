"""Creates, titles, renames and deletes conversations; builds the views and events that pages get of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from asgiref.sync import async_to_sync
from django.db.models import F, FilteredRelation, Q
from django.utils import timezone
from msgspec.structs import replace

from chatapp import events, protocol
from chatapp.conversations import prepared_conversations
from chatapp.conversations.first_words import title_from
from chatapp.conversations.waiting import VIEW_COLUMNS, view_of
from chatapp.models import Assistant, Conversation, Message, User
from chatapp.protocol.views import AssistantView, ConversationView, QueuedView
from chatapp.protocol.words import ReplyStatus
from warmcache.background.statements import Select, Slot, Update


def create(user: User, assistant: Assistant, *, first_text: str) -> Conversation:
    return Conversation.objects.create(
        user=user, assistant=assistant, title=title_from(first_text), cache_salt=user.cache_salt
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
    """Makes a conversation with a new message the newest one, and shows the branch through that message.

    Call it under the lock of the conversation's row, so that the version counted here is the stored one.
    """
    now = timezone.now()
    _TOUCH.run(id=conversation.pk, updated_at=now, branch=branch.pk)
    conversation.updated_at, conversation.branch = now, branch
    conversation.version += 1


_TOUCH = Update(
    lambda: Conversation.objects.filter(pk=Slot("id", Conversation)),
    lambda: {
        "updated_at": Slot("updated_at", Conversation),
        "branch": Slot("branch", Conversation),
        "version": F("version") + 1,
    },
)


def rename(conversation: Conversation, title: str) -> None:
    """Sets the title and notifies every socket of the owner. Synchronous: for views."""
    conversation.title = title.strip()[: Conversation._meta.get_field("title").max_length]
    conversation.save(update_fields=["title"])
    news = news_of(conversation.pk)
    if news is not None:
        async_to_sync(tell)(news)


def news_of(conversation_id: UUID) -> News | None:
    """Read from the current rows in one statement; None if there is no such conversation."""
    rows = _NEWS.rows(id=conversation_id)
    if not rows:
        return None
    own = dict(zip(_OWN_COLUMNS, rows[0], strict=False))
    waiting = [dict(zip(VIEW_COLUMNS, row[len(_OWN_COLUMNS) :], strict=True)) for row in rows]
    queued = [view_of(columns) for columns in waiting if columns["id"]]
    return News(user_id=own["user_id"], view=conversation_view(Conversation(**own), queued), version=own["version"])


_OWN_COLUMNS = ("id", "user_id", "version", "title", "assistant_id", "created_at", "updated_at", "branch_id")
_NEWS = Select(
    lambda: (
        Conversation.objects.filter(pk=Slot("id", Conversation))
        .annotate(waiting=FilteredRelation("queued", condition=Q(queued__withdrawn_at=None)))
        .order_by("waiting__id")
        .values_list(*_OWN_COLUMNS, *(F(f"waiting__{name}") for name in VIEW_COLUMNS))
    )
)


def news_after_message(conversation: Conversation, waiting: Sequence[QueuedView]) -> News:
    """For a row under whose lock a reply was begun."""
    return News(
        user_id=conversation.user_id,
        view=conversation_view(conversation, waiting),
        version=conversation.version,
        is_written=True,
    )


async def tell(news: News, *, begun: events.Begun | None = None) -> None:
    """Notifies every socket of the owner, of a turn that has begun too."""
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
    )


def delete(conversation: Conversation) -> None:
    """Deletes it with its messages; notifies every socket of its user, and the process that writes a reply in it.

    Synchronous: for views.
    """
    conversation_id, user_id = conversation.pk, conversation.user_id
    prepared_conversations.store.evict(conversation_id)
    written = conversation.messages.filter(status=ReplyStatus.STREAMING).exclude(owner="")
    owners = list(written.values_list("owner", "pk"))
    conversation.delete()
    async_to_sync(_tell_of_deletion)(user_id, conversation_id, owners)


async def _tell_of_deletion(user_id: int, conversation_id: UUID, owners: Sequence[tuple[str, UUID]]) -> None:
    for owner, reply_id in owners:
        await events.announce_stop(owner, reply_id)
    await events.announce_deletion(user_id, conversation_id)


def conversation_view(conversation: Conversation, queue: Sequence[QueuedView] = ()) -> ConversationView:
    """`queue`: the messages that wait in it; lists of conversations leave it out."""
    return ConversationView(
        id=conversation.pk,
        title=conversation.title,
        assistant_id=conversation.assistant_id,
        created_at=conversation.created_at,
        updated_at=conversation.updated_at,
        branch=conversation.branch_id,
        queue=list(queue),
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
    )
