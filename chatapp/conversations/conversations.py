"""Create, title, rename and delete conversations; what a page needs to show one."""

from collections.abc import Sequence
from uuid import UUID

from asgiref.sync import async_to_sync
from django.utils import timezone

from chatapp import events
from chatapp.models import Assistant, Conversation, Message, User
from chatapp.protocol.limits import LIMITS
from chatapp.protocol.views import AssistantView, ConversationView, QueuedView

MAX_TITLE_CHARACTERS = LIMITS["title_chars"]


def create(user: User, assistant: Assistant, *, first_text: str) -> Conversation:
    return Conversation.objects.create(user=user, assistant=assistant, title=title_from(first_text))


def title_from(text: str) -> str:
    """The beginning of the first line, cut at a word."""
    line = " ".join(next((line for line in text.splitlines() if line.strip()), "").split())
    if len(line) <= MAX_TITLE_CHARACTERS:
        return line
    cut = line[:MAX_TITLE_CHARACTERS]
    return (cut.rsplit(" ", 1)[0] if " " in cut[20:] else cut) + "…"


def touch(conversation: Conversation, *, branch: Message) -> None:
    """Something was said there: it is the newest, and shows the branch through that message."""
    conversation.updated_at = timezone.now()
    conversation.branch = branch
    conversation.save(update_fields=["updated_at", "branch"])


def rename(conversation: Conversation, title: str) -> None:
    """Sets the title and tells every socket of the owner. Synchronous: for views."""
    conversation.title = title.strip()[: Conversation._meta.get_field("title").max_length]
    conversation.save(update_fields=["title"])
    async_to_sync(events.announce_conversation)(conversation.user_id, conversation.pk)


def delete(conversation: Conversation) -> None:
    """Deletes it with its messages, and tells every socket of its user and whoever writes a reply there.

    Synchronous: for views.
    """
    conversation_id, user_id = conversation.pk, conversation.user_id
    written = conversation.messages.filter(status=Message.Status.STREAMING).exclude(owner="")
    owners = list(written.values_list("owner", "pk"))
    conversation.delete()
    async_to_sync(_tell_of_deletion)(user_id, conversation_id, owners)


async def _tell_of_deletion(user_id: int, conversation_id: UUID, owners: Sequence[tuple[str, UUID]]) -> None:
    for owner, reply_id in owners:
        await events.announce_stop(owner, reply_id)
    await events.announce_conversation(user_id, conversation_id, is_deleted=True)


def conversation_view(conversation: Conversation, queue: Sequence[QueuedView] = ()) -> ConversationView:
    """`queue`: what waits there; lists of conversations leave it out."""
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
    """Of a conversation that is gone: only its id and `deleted` mean anything."""
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
