"""What is kept ready, for how long, within which bound, and who says that it is no longer true."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from django.contrib.admin import site
from django.test import RequestFactory

from chatapp import events
from chatapp.conversations import access, branches, conversations, deletions, prepared_conversations
from chatapp.conversations.prepared_conversations import Mark, PreparedConversation, PreparedConversations
from chatapp.models import Assistant, Conversation, Document, Message
from chatapp.protocol import MessageSend
from chatapp.replies import ends, pending, process_events, rows, sent_messages
from chatapp.warming import assistant_edits
from tests.chatapp.replies.reply_frames import finished, new_log
from tests.counting import counted
from tests.factories import make_assistant, make_conversation, make_message, make_user
from warmcache.background.database import in_database_thread
from warmcache.core.prefix import Prompt, Turn, build
from warmcache.core.prompt import prepared as prepared_prompts
from warmcache.services import prepare_prompt
from warmcache.testing import make_prefix

MARK = Mark(version=1, branch_id=None, assistant_id=1, revision=1, edited_at=datetime(2026, 1, 1, tzinfo=UTC))


def prepared(**fields) -> PreparedConversation:
    defaults = {
        "conversation_id": uuid4(),
        "user_id": 1,
        "mark": MARK,
        "tip_id": uuid4(),
        "prompt": EMPTY,
        "history_hash": "",
        "label": "guide",
    }
    return PreparedConversation(**{**defaults, **fields})


def said(text: str) -> Turn:
    return Turn(role="user", blocks=({"type": "text", "text": text},))


EMPTY = prepare_prompt(Prompt(model="claude-sonnet-5-5"))
SIZE = prepared().size_bytes


# The store


def test_beyond_its_bound_the_least_recently_used_goes_first():
    store = PreparedConversations(max_bytes=3 * SIZE)
    first, second, third, fourth = [prepared() for _ in range(4)]
    for each in (first, second, third):
        store.put(each)
    store.get(first.conversation_id, MARK)

    store.put(fourth)

    held = [each for each in (first, second, third, fourth) if store.get(each.conversation_id, MARK) is each]
    assert held == [first, third, fourth]
    assert (len(store), store.size_bytes) == (3, 3 * SIZE)


def test_what_is_larger_than_all_room_is_not_kept_and_a_later_one_is_not_replaced():
    store = PreparedConversations(max_bytes=3 * SIZE)
    large, late = prepared(prompt=EMPTY.with_turns(said("x" * 3 * SIZE))), prepared(mark=replace(MARK, version=2))
    store.put(large)
    store.put(late)

    store.put(prepared(conversation_id=late.conversation_id))

    assert (len(store), store.size_bytes) == (1, SIZE)
    assert store.at_version(late.conversation_id, 2) is late


@pytest.mark.parametrize("changed", [{"version": 2}, {"branch_id": uuid4()}, {"revision": 2}, {"assistant_id": 2}])
def test_what_was_read_at_another_mark_is_not_given(changed):
    store, ready = PreparedConversations(), prepared()
    store.put(ready)

    assert store.get(ready.conversation_id, MARK) is ready
    assert store.get(ready.conversation_id, replace(MARK, **changed)) is None


def test_it_grows_by_what_was_said_and_only_that_is_hashed(monkeypatch):
    ready = prepared(prompt=EMPTY.with_turns(said("old " * 1000)), outline=make_prefix())
    build(ready.prompt, None)
    hashed = []
    digest = prepared_prompts._digest
    monkeypatch.setattr(prepared_prompts, "_digest", lambda *a: hashed.append(a[-1]) or digest(*a))
    tip_id = uuid4()

    grown = ready.grown([said("new")], tip_id=tip_id, mark=replace(MARK, version=2))
    build(grown.prompt, [{"type": "text", "text": "And?"}])

    assert (grown.tip_id, grown.mark.version, grown.outline) == (tip_id, 2, None)
    assert grown.size_bytes > ready.size_bytes + len("new")
    assert any(b"new" in data for data in hashed)
    assert not any(b"old" in data for data in hashed)


def test_deletion_and_sign_out_are_heard_in_every_process(monkeypatch):
    store = PreparedConversations()
    monkeypatch.setattr(prepared_conversations, "store", store)
    gone, mine, other = prepared(), prepared(user_id=2), prepared(user_id=3)
    for each in (gone, mine, other):
        store.put(each)

    nobody = process_events.Hearers(on_stop=lambda _: None, on_sign_out=lambda _: None, on_erasure=lambda *_: None)
    process_events.take({"type": "conversation.deleted", "conversation_id": str(gone.conversation_id)}, nobody)
    process_events.take({"type": "session.ended", "user_id": 2}, nobody)

    assert store.get(other.conversation_id, MARK) is other
    assert (len(store), store.size_bytes) == (1, SIZE)


def test_outlines_are_made_anew_where_standing_instructions_changed_or_news_were_missed():
    nobody = process_events.Hearers(on_stop=lambda _: None, on_sign_out=lambda _: None, on_erasure=lambda *_: None)
    before = assistant_edits.count()

    process_events.take({"type": "instructions.changed", "user_id": 1}, nobody)
    process_events.take({"type": "news.missed"}, nobody)

    assert assistant_edits.count() == before + 2


async def test_what_processes_must_forget_is_told_to_their_group(monkeypatch):
    told = []

    async def note(group: str, event: dict) -> None:
        told.append((group, event["type"]))

    monkeypatch.setattr(events, "_tell", note)

    await events.announce_deletion(1, uuid4())
    await events.announce_sign_out(1)
    await events.announce_instructions(1)

    assert [kind for group, kind in told if group == events.PROCESSES] == [
        "conversation.deleted",
        "session.ended",
        "instructions.changed",
    ]


# Who counts the version


@pytest.fixture
def conversation(transactional_db) -> Conversation:
    conversation = make_conversation(make_user(), make_assistant(documents=("One document.",)))
    question = make_message(conversation, "Why?", sender=conversation.user, client_message_id=uuid4())
    make_message(conversation, "Because.", role="assistant", parent=question, epoch="e", owner="a")
    return conversation


def read(conversation: Conversation) -> Conversation:
    return access.conversation_for_user(conversation.user, conversation.pk)


def reply_in(conversation: Conversation) -> Message:
    return conversation.messages.filter(role="assistant").earliest("created_at")


def question_in(conversation: Conversation) -> Message:
    return conversation.messages.filter(role="user").earliest("created_at")


def frame_for(conversation: Conversation, **fields) -> MessageSend:
    return MessageSend(client_message_id=uuid4(), text="And?", conversation_id=conversation.pk, **fields)


def send(conversation: Conversation) -> None:
    sent_messages.store(conversation.user, frame_for(conversation))


def edit(conversation: Conversation) -> None:
    sent_messages.store(conversation.user, frame_for(conversation, edit_of=question_in(conversation).pk))


def answer_again(conversation: Conversation) -> None:
    sent_messages.store_version(conversation.user, reply_in(conversation).pk)


def send_what_waits(conversation: Conversation) -> None:
    pending.add(conversation, conversation.user, frame_for(conversation), (), behind=None, parent_id=None, edit_of=None)
    assert sent_messages.store_next(conversation.pk) is not None


def choose_a_branch(conversation: Conversation) -> None:
    branches.select(conversation.user, conversation.pk, question_in(conversation).pk)


def take_over(conversation: Conversation) -> None:
    reply = reply_in(conversation)
    Message.objects.filter(pk=reply.pk).update(status="streaming")
    [seen] = rows.streaming()
    log = new_log(reply.pk)
    assert ends.store_for_dead(seen, finished(log, status="interrupted"), {"text": "Half"}, request_id="")


def delete_in_admin(conversation: Conversation) -> None:
    site.get_model_admin(Message).delete_model(RequestFactory().post("/"), reply_in(conversation))


def import_a_message(conversation: Conversation) -> None:
    Message.objects.create(conversation=conversation, role="user", text="From elsewhere")


def change_by_hand(conversation: Conversation) -> None:
    reply = reply_in(conversation)
    reply.content = []
    reply.save()


def edit_the_assistant(conversation: Conversation) -> None:
    Assistant.objects.get(pk=conversation.assistant_id).save()


def add_a_document(conversation: Conversation) -> None:
    Document.objects.create(assistant_id=conversation.assistant_id, title="New", text="Another.")


def edit_a_document(conversation: Conversation) -> None:
    Document.objects.get(assistant=conversation.assistant_id).save()


def delete_a_document(conversation: Conversation) -> None:
    Document.objects.get(assistant=conversation.assistant_id).delete()


WRITERS = [
    send,
    edit,
    answer_again,
    send_what_waits,
    choose_a_branch,
    take_over,
    delete_in_admin,
    import_a_message,
    change_by_hand,
    edit_the_assistant,
    add_a_document,
    edit_a_document,
    delete_a_document,
]


@pytest.mark.parametrize("write", WRITERS, ids=lambda writer: writer.__name__)
def test_after_every_writer_what_was_ready_is_read_anew(conversation, write):
    ready = prepared_conversations.of(read(conversation))
    assert prepared_conversations.current(read(conversation)) is ready

    write(conversation)

    assert prepared_conversations.current(read(conversation)) is None


def test_what_changes_no_prompt_leaves_it_ready(conversation):
    ready = prepared_conversations.of(read(conversation))

    conversations.rename(conversation, "A better title")
    pending.add(conversation, conversation.user, frame_for(conversation), (), behind=None, parent_id=None, edit_of=None)

    assert prepared_conversations.current(read(conversation)) is ready


def test_what_grows_while_it_is_read_is_not_kept_since_its_end_counts_nothing(conversation):
    sent_messages.store(conversation.user, frame_for(conversation))

    prepared_conversations.of(read(conversation))

    assert prepared_conversations.current(read(conversation)) is None


def test_a_deleted_conversation_is_forgotten_where_it_was_deleted(conversation):
    ready = prepared_conversations.of(read(conversation))

    deletions.delete(conversation)

    assert prepared_conversations.store.get(ready.conversation_id, ready.mark) is None


def test_what_assistants_share_is_read_and_held_once(conversation):
    other = make_conversation(conversation.user, conversation.assistant)
    first = prepared_conversations.of(read(conversation))

    with counted() as counts:
        second = prepared_conversations.of(read(other))

    assert second.prompt.shared is first.prompt.shared
    assert not counts.about("chatapp_document", "system_prompt")
    assert prepared_conversations.store.shared_bytes > 0


# Two that send at once


async def test_of_two_tabs_that_send_at_once_one_begins_a_reply_and_the_other_one_waits(conversation):
    frames = [frame_for(conversation) for _ in range(6)]

    taken = await asyncio.gather(
        *(in_database_thread(sent_messages.store, conversation.user, frame) for frame in frames)
    )

    assert [isinstance(each, sent_messages.Sent) for each in taken].count(True) == 1
    assert await in_database_thread(rows.running_in(conversation.pk).count) == 1
