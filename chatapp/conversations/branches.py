"""The tree of a conversation's messages: versions as siblings, and the one branch that is shown.

Pure except for the rows it is given. An edited message, or a repeated answer, is a new sibling; nothing is removed.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from itertools import pairwise
from uuid import UUID

from django.db.models import F

from chatapp.conversations import access
from chatapp.models import Conversation, Message, User
from chatapp.protocol.words import ReplyStatus


class MessageTree:
    """All messages of one conversation, in order of creation.

    A row without a parent that an import or a person created follows the row before it; the edit of a first message
    does not.
    """

    def __init__(self, messages: Sequence[Message]) -> None:
        self._by_id = {message.pk: message for message in messages}
        before = {later.pk: earlier.pk for earlier, later in pairwise(messages)}
        self._parents: dict[UUID, UUID | None] = {}
        self._children: dict[UUID | None, list[UUID]] = defaultdict(list)
        for message in messages:
            parent_id = message.parent_id or (None if message.edit_of_id else before.get(message.pk))
            self._parents[message.pk] = parent_id
            self._children[parent_id].append(message.pk)
        self._order = {message_id: number for number, message_id in enumerate(self._by_id)}

    def __contains__(self, message_id: object) -> bool:
        return message_id in self._by_id

    @property
    def messages(self) -> Collection[Message]:
        """All of them, in order of creation."""
        return self._by_id.values()

    @property
    def is_growing(self) -> bool:
        """Whether a reply is being written on some branch."""
        return any(message.status == ReplyStatus.STREAMING for message in self.messages)

    def parent_of(self, message_id: UUID) -> UUID | None:
        """The message before this one on its branch; None for a first message."""
        return self._parents.get(message_id)

    def siblings(self, message_id: UUID) -> list[UUID]:
        """Every version of a message, itself included, from the oldest to the newest."""
        role = self._by_id[message_id].role
        return [other for other in self._children[self.parent_of(message_id)] if self._by_id[other].role == role]

    def path_to(self, message_id: UUID | None) -> list[Message]:
        """From a first message to this one."""
        path: list[Message] = []
        left = dict(self._by_id)
        while message_id in left:
            path.append(left.pop(message_id))
            message_id = self._parents[path[-1].pk]
        return path[::-1]

    def end_below(self, message_id: UUID) -> UUID:
        """The newest leaf below a message, or the message itself if nothing follows: where the person last was."""
        return max(self._ends_below(message_id), key=self._order.__getitem__, default=message_id)

    def branch_through(self, message_id: UUID | None) -> list[Message]:
        """From a first message through this one to the newest leaf below it; without one, to the newest leaf of all."""
        if message_id in self._by_id:
            return self.path_to(self.end_below(message_id))
        newest = next(reversed(self._by_id), None)
        return [] if newest is None else self.path_to(self.end_below(newest))

    def _ends_below(self, message_id: UUID) -> Iterator[UUID]:
        seen, waiting = set(), [message_id]
        while waiting:
            each = waiting.pop()
            if each in seen:
                continue
            seen.add(each)
            children = self._children.get(each, ())
            waiting.extend(children)
            if not children:
                yield each


def tree_of(conversation_id: UUID) -> MessageTree:
    return MessageTree(list(Message.objects.filter(conversation=conversation_id).order_by("created_at", "id")))


def outline_of(conversation_id: UUID) -> MessageTree:
    """The tree without content: its messages have only their position, role and status."""
    rows = Message.objects.filter(conversation=conversation_id).only("parent_id", "edit_of_id", "role", "status")
    return MessageTree(list(rows.order_by("created_at", "id")))


def end_of(conversation_id: UUID, *, through: UUID | None) -> UUID | None:
    """The last message of a branch, found without reading content."""
    branch = outline_of(conversation_id).branch_through(through)
    return branch[-1].pk if branch else None


def select(user: User, conversation_id: UUID, message_id: UUID) -> None:
    """Shows the branch through this message from now on, on every device; raises `access.NotFound`."""
    conversation = access.conversation_for_user(user, conversation_id)
    access.message_in(conversation, message_id)
    Conversation.objects.filter(pk=conversation_id).update(branch=message_id, version=F("version") + 1)
