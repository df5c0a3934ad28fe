"""Random sending, editing, answering again, choosing, withdrawing: the tree, the branch and the queue stay whole."""

from uuid import UUID, uuid4

import pytest
from django.contrib.auth import get_user_model
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from chatapp.conversations import access, branches, prepared_conversations
from chatapp.conversations.waiting import waiting_in
from chatapp.models import Conversation, Message, QueuedMessage
from chatapp.protocol import FrameError, MessageSend
from chatapp.protocol.limits import LIMITS
from chatapp.replies import ends, pending, sent_messages
from chatapp.replies import rows as reply_rows
from tests.chatapp.replies.reply_frames import finished, new_log
from tests.factories import make_assistant
from warmcache.core.prefix import build

pytestmark = pytest.mark.django_db


class Chat:
    """One person in one conversation, and what must be true of it. A reply ends when the test says so, as its owner
    would end it; between that end and the next reply others may act."""

    def __init__(self) -> None:
        number = uuid4().hex[:8]
        self.user = get_user_model().objects.create(username=f"user-{number}")
        assistant = make_assistant(slug=f"assistant-{number}")
        first = sent_messages.store(self.user, self.frame("0", assistant_id=assistant.pk))
        assert isinstance(first, sent_messages.Sent)
        self.conversation_id = first.conversation.pk
        self.sent = 1
        self.seen: dict[UUID, tuple[UUID | None, str]] = {}
        self.queue: list[UUID] = []

    # What may happen; `number` picks one of what is there

    def send(self, number: int) -> None:
        self._send()

    def edit(self, number: int) -> None:
        self._send(edit_of=self.any_message(number, role="user").pk)

    def begin_a_branch(self, number: int) -> None:
        self._send(parent_id=self.any_message(number, role="assistant").pk)

    def answer_again(self, number: int) -> None:
        reply = self.any_message(number, role="assistant")
        is_running = self.running is not None
        try:
            version = sent_messages.store_version(self.user, reply.pk)
        except FrameError as error:
            assert (is_running, error.code) == (True, "reply_running")
        else:
            assert (is_running, version.reply.parent_id) == (False, reply.parent_id)

    def choose(self, number: int) -> None:
        chosen = self.any_message(number)

        branches.select(self.user, self.conversation_id, chosen.pk)

        assert chosen in self.shown

    def complete(self, number: int) -> None:
        self._end("complete")

    def refuse(self, number: int) -> None:
        self._end("complete", stop_reason="refusal")

    def break_off(self, number: int) -> None:
        self._end(["stopped", "interrupted", "failed"][number % 3])

    def go_on(self, number: int) -> None:
        free = pending.next_in(self.conversation_id)
        is_running = self.running is not None

        following = sent_messages.store_next(self.conversation_id)

        assert (following is None) == (is_running or free is None)
        if following is not None and free is not None:
            assert following.message.pk == free.message_id
            self.queue.remove(free.message_id)
            self.stands_where_it_was_written(following.message, free)

    def withdraw(self, number: int) -> None:
        if self.queue:
            message_id = self.queue.pop(number % len(self.queue))
            assert pending.withdraw(self.user, message_id).text != ""

    def release(self, number: int) -> None:
        if self.queue:
            pending.release(self.user, self.queue[number % len(self.queue)])

    # What is true at any time

    def nothing_is_destroyed_nor_moved(self) -> None:
        rows = Message.objects.filter(conversation=self.conversation_id)
        now = {message.pk: (message.parent_id, message.text if message.role == "user" else "") for message in rows}
        assert self.seen.items() <= now.items()
        self.seen = now

    def the_shown_branch_is_a_path_from_a_first_message_to_an_end(self) -> None:
        conversation = Conversation.objects.get(pk=self.conversation_id)
        tree = branches.tree_of(self.conversation_id)
        branch = tree.branch_through(conversation.branch_id)
        ids = [message.pk for message in branch]
        assert [tree.parent_of(each) for each in ids] == [None, *ids[:-1]]
        assert not any(tree.parent_of(message.pk) == ids[-1] for message in tree.messages)
        assert conversation.branch_id is None or conversation.branch_id in ids
        assert [message.role for message in branch] == ["user", "assistant"] * (len(branch) // 2)

    def the_queue_keeps_its_order_and_at_most_one_reply_runs(self) -> None:
        assert [queued.message_id for queued in waiting_in(self.conversation_id)] == self.queue
        assert Message.objects.filter(conversation=self.conversation_id, status="streaming").count() <= 1

    def what_is_ready_is_what_stands_in_the_rows(self) -> None:
        conversation = access.conversation_for_user(self.user, self.conversation_id)
        ready = prepared_conversations.of(conversation)
        read = prepared_conversations.before(conversation, ready.tip_id)
        assert ready.tip_id == self.shown[-1].pk
        assert build(ready.prompt, None) == build(read.prompt, None)
        assert ready.size_bytes == read.size_bytes

    # How

    def frame(self, text: str, **fields: object) -> MessageSend:
        return MessageSend(client_message_id=uuid4(), text=text, **fields)

    @property
    def shown(self) -> list[Message]:
        conversation = Conversation.objects.get(pk=self.conversation_id)
        return branches.tree_of(self.conversation_id).branch_through(conversation.branch_id)

    @property
    def running(self) -> Message | None:
        return Message.objects.filter(conversation=self.conversation_id, status="streaming").first()

    def any_message(self, number: int, **fields: object) -> Message:
        found = list(Message.objects.filter(conversation=self.conversation_id, **fields).order_by("created_at", "id"))
        return found[number % len(found)]

    def _send(self, **place: UUID) -> None:
        must_wait = self.running is not None or pending.next_in(self.conversation_id) is not None
        frame = self.frame(str(self.sent), conversation_id=self.conversation_id, **place)
        try:
            taken = sent_messages.store(self.user, frame)
        except FrameError as error:
            assert (error.code, len(self.queue)) == ("queue_full", LIMITS["queued_messages"])
            return
        self.sent += 1
        again = sent_messages.store(self.user, frame)
        assert isinstance(taken, QueuedMessage) == isinstance(again, QueuedMessage) == must_wait
        if isinstance(taken, QueuedMessage):
            self.queue.append(taken.message_id)

    def _end(self, status: str, *, stop_reason: str = "end_turn") -> None:
        reply = self.running
        if reply is None:
            return
        frame = finished(new_log(reply.pk), status=status, stop_reason=stop_reason)
        text = f"Answer {self.sent}"
        content = {"text": text, "content": [{"type": "text", "text": text}]}
        is_free = pending.next_in(self.conversation_id) is not None

        ended = ends.store(reply_rows.claim_of(reply), self.conversation_id, frame, content, request_id="r")

        assert ended.written == "done"
        assert ended.has_next == (status == "complete" and stop_reason != "refusal" and is_free)

    def stands_where_it_was_written(self, message: Message, queued: QueuedMessage) -> None:
        tree = branches.tree_of(self.conversation_id)
        if queued.edit_of_id:
            assert queued.edit_of_id in tree.siblings(message.pk)
        elif queued.parent_id:
            assert message.parent_id == queued.parent_id
        elif queued.behind_id:
            assert queued.behind_id in [above.pk for above in tree.path_to(message.parent_id)]


ACTS = [
    Chat.send,
    Chat.edit,
    Chat.begin_a_branch,
    Chat.answer_again,
    Chat.choose,
    Chat.complete,
    Chat.refuse,
    Chat.break_off,
    Chat.go_on,
    Chat.withdraw,
    Chat.release,
]
courses = st.lists(st.tuples(st.sampled_from(ACTS), st.integers(0, 40)), min_size=10, max_size=30)


# Between the end of a reply and the next; while another branch is looked at; after a bad end; edits that waited.
GAP = [(Chat.send, 0), (Chat.complete, 0), (Chat.send, 0), (Chat.go_on, 0), (Chat.complete, 0), (Chat.go_on, 0)]
ELSEWHERE = [(Chat.complete, 0), (Chat.edit, 0), (Chat.send, 0), (Chat.choose, 0), (Chat.complete, 0), (Chat.go_on, 0)]
HELD = [(Chat.send, 0), (Chat.send, 0), (Chat.break_off, 0), (Chat.send, 0), (Chat.release, 1), (Chat.complete, 0)]
REFUSED = [(Chat.complete, 0), (Chat.send, 0), (Chat.send, 0), (Chat.refuse, 0), (Chat.release, 0), (Chat.go_on, 0)]
EDITED = [(Chat.edit, 0), (Chat.send, 0), (Chat.complete, 0), (Chat.go_on, 0), (Chat.complete, 0), (Chat.go_on, 0)]


def check(course: list) -> None:
    chat = Chat()
    for act, number in course:
        act(chat, number)
        chat.nothing_is_destroyed_nor_moved()
        chat.the_shown_branch_is_a_path_from_a_first_message_to_an_end()
        chat.the_queue_keeps_its_order_and_at_most_one_reply_runs()
        chat.what_is_ready_is_what_stands_in_the_rows()


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(courses)
@example(GAP)
@example(ELSEWHERE)
@example([*HELD, (Chat.go_on, 0)])
@example(EDITED)
@example([*REFUSED, (Chat.complete, 0), (Chat.send, 0)])
def test_whatever_a_person_does_nothing_is_lost_and_everything_stands_in_its_place(course):
    check(course)


@pytest.mark.soak
@settings(max_examples=600, deadline=None, suppress_health_check=list(HealthCheck))
@given(courses)
def test_whatever_a_person_does_for_long_nothing_is_lost(course):
    check(course)
