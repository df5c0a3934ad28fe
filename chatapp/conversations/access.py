"""The only way to fetch a conversation, an assistant or an attachment: what a user may not see does not exist."""

from collections.abc import Collection
from uuid import UUID

from django.db.models import Exists, QuerySet

from chatapp.models import Assistant, Attachment, Conversation, Message, QueuedMessage, User
from warmcache.background.statements import Select, Slot


class NotFound(Exception):
    """The object does not exist or belongs to another user; callers cannot tell which."""

    def __init__(self, what: str, words: str = "") -> None:
        super().__init__(words or f"There is no such {what}.")
        self.what = what


LONG_TEXTS = ("assistant__system_prompt", "assistant__tools", "assistant__output_schema")


def conversations_of(user: User) -> QuerySet[Conversation]:
    """Newest first, each with its assistant; only `prepared_conversations` reads the assistant's long texts."""
    return with_assistant().filter(user=user)


def listed_conversations_of(user: User) -> QuerySet[Conversation]:
    """As `conversations_of`, without those that no list and no search may show."""
    return conversations_of(user).filter(is_temporary=False)


def with_assistant() -> QuerySet[Conversation]:
    """All conversations, for code that does not act for a user. One that is deleted does not exist any more, although
    its row stays for a moment."""
    return Conversation.objects.filter(deleted_at=None).select_related("assistant").defer(*LONG_TEXTS)


def conversation_for_user(user: User, conversation_id: UUID, *, to_write: bool = False) -> Conversation:
    """With `to_write`, call it inside a transaction: it locks the row, so that writers take turns.

    Statements that follow see what the lock has waited for; subqueries of this statement do not.
    """
    found: list[Conversation] = (_TO_WRITE if to_write else _TO_READ).objects(user=user.pk, id=conversation_id)
    if not found:
        raise NotFound("conversation")
    return found[0]


def _one_conversation() -> QuerySet[Conversation]:
    # A socket may not have heard yet that its person is deactivated.
    of_user = with_assistant().filter(user=Slot("user", Conversation), user__is_active=True)
    return of_user.filter(pk=Slot("id", Conversation)).order_by()


_TO_READ = Select(_one_conversation)
_TO_WRITE = Select(lambda: _one_conversation().select_for_update(of=("self",)))


def reply_for_user(user: User, reply_id: UUID) -> Message:
    """The assistant's message with this id, with its conversation and assistant."""
    reply = (
        Message.objects.filter(pk=reply_id, role=Message.Role.ASSISTANT, conversation__user=user)
        .filter(conversation__deleted_at=None)
        .select_related("conversation__assistant")
        .first()
    )
    if reply is None:
        raise NotFound("reply")
    return reply


def message_in(conversation: Conversation, message_id: UUID) -> Message:
    message = Message.objects.filter(pk=message_id, conversation=conversation).first()
    if message is None:
        raise NotFound("message")
    return message


def question_in(conversation: Conversation, message_id: UUID) -> Message:
    """A person's message in this conversation."""
    message = message_in(conversation, message_id)
    if message.role != Message.Role.USER:
        raise NotFound("message")
    return message


def queued_for_user(user: User, message_id: UUID, *, to_write: bool = False) -> QueuedMessage:
    """A queued or withdrawn message. `to_write` locks the row of its conversation, as in `conversation_for_user`."""
    of_user = QueuedMessage.objects.filter(
        message_id=message_id, conversation__user=user, conversation__deleted_at=None
    )
    queued = of_user.first()
    if queued is not None and to_write:
        conversation_for_user(user, queued.conversation_id, to_write=True)
        queued = of_user.first()
    if queued is None:
        raise NotFound("waiting message")
    return queued


def assistants_for(user: User) -> QuerySet[Assistant]:
    """Every signed-in user may begin a chat with every assistant that is not retired; the default one comes first."""
    return Assistant.objects.filter(retired_at=None)


def assistant_for_user(user: User, assistant_id: int | None) -> Assistant:
    """The named assistant, or the default one if none is named; none for a person who is deactivated."""
    found = assistants_for(user).filter(Exists(User.objects.filter(pk=user.pk, is_active=True)))
    assistant = found.first() if assistant_id is None else found.filter(pk=assistant_id).first()
    if assistant is None:
        raise NotFound("assistant")
    return assistant


def picture_for_user(user: User, attachment_id: UUID) -> Attachment:
    """A picture that the user attached, sent or not; none of a conversation that the user has deleted."""
    pictures = Attachment.objects.filter(pk=attachment_id, user=user).exclude(media_type="")
    kept = pictures.filter(message__conversation__deleted_at=None, queued__conversation__deleted_at=None)
    found = kept.defer("text").first()
    if found is None:
        raise NotFound("attachment")
    return found


def unsent_attachments(user: User, attachment_ids: Collection[UUID]) -> list[Attachment]:
    """In the order asked for; all must belong to the user, and none may be sent or queued yet."""
    if not attachment_ids:
        return []
    asked = list(dict.fromkeys(attachment_ids))
    found = {each.pk: each for each in Attachment.objects.filter(pk__in=asked, user=user, message=None, queued=None)}
    if len(found) != len(asked):
        raise NotFound("attachment", "A file of this message is not there any more. Remove it and attach it again.")
    return [found[attachment_id] for attachment_id in asked]
