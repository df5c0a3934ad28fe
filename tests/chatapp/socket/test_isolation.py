"""Two people on one server: no frame, no event and no cursor of one shows anything of the other's."""

import json
from uuid import uuid4

import pytest

from chatapp.models import Attachment, Conversation, Message
from tests.factories import make_conversation, make_message
from warmcache.background.database import in_database_thread

pytestmark = pytest.mark.django_db(transaction=True)


def count_rows() -> tuple[int, int]:
    return Conversation.objects.count(), Message.objects.count()


async def test_foreign_ids_open_nothing_in_any_frame(open_tab, ann, bob, assistant, simulator):
    def owned_by_bob():
        conversation = make_conversation(bob, assistant)
        question = make_message(conversation, "Secret question", sender=bob, client_message_id=uuid4())
        reply = make_message(conversation, "Secret answer", role="assistant", parent=question)
        attachment = Attachment.objects.create(user=bob, name="secret.txt", text="Secret text")
        return conversation, question, reply, attachment

    conversation, question, reply, attachment = await in_database_thread(owned_by_bob)
    own = await in_database_thread(make_conversation, ann, assistant)
    before = await in_database_thread(count_rows)
    tab = await open_tab(ann)
    cursor = {"reply_id": reply.pk, "epoch": "x", "after_seq": 0}
    frames = [
        ("conversation.open", {"conversation_id": conversation.pk}),
        ("conversation.open", {"conversation_id": conversation.pk, "cursor": cursor}),
        ("typing.started", {"conversation_id": conversation.pk}),
        ("typing.started", {"conversation_id": own.pk, "attachment_ids": [attachment.pk]}),
        ("typing.started", {"assistant_id": assistant.pk, "attachment_ids": [attachment.pk]}),
        ("message.send", {"conversation_id": conversation.pk}),
        ("message.send", {"conversation_id": own.pk, "parent_id": question.pk}),
        ("message.send", {"conversation_id": own.pk, "attachment_ids": [attachment.pk]}),
        ("reply.stop", {"reply_id": reply.pk}),
        ("reply.stop", {"reply_id": question.pk}),
        ("reply.regenerate", {"reply_id": reply.pk}),
        ("tool.answer", {"reply_id": reply.pk, "call_id": "toolu_1", "answer": "always"}),
    ]

    for kind, fields in frames:
        await tab.send(kind, client_message_id=uuid4(), text="Mine", **fields)
    await tab.send("typing.stopped", conversation_id=conversation.pk)
    await tab.send("reply.seen", reply_id=reply.pk, seq=1, ttft_ms=1)
    received = await tab.read_all()

    assert [f["code"] for f in received] == ["not_found"] * len(frames)
    assert "Secret" not in json.dumps(received)
    assert await in_database_thread(count_rows) == before
    assert simulator.requests() == []
    untouched = await in_database_thread(Message.objects.get, pk=reply.pk)
    assert untouched.browser_ttft_ms is None


async def test_no_event_of_one_user_reaches_another(open_tab, ann, bob, assistant):
    hers, his = await open_tab(ann), await open_tab(bob)
    await hers.say("Hello", assistant_id=assistant.pk)
    created = await hers.until("message.created")

    await his.send("conversation.open", conversation_id=created["conversation_id"])
    await hers.until("reply.finished")
    await hers.say("More", conversation_id=created["conversation_id"])
    await hers.until("reply.finished")
    await hers.read_all()
    await his.read_all()

    assert {f["type"] for f in his.frames} == {"ready", "error", "pong"}


async def test_a_socket_that_could_not_open_a_chat_hears_nothing_of_it(
    open_tab, ann, bob, assistant, monkeypatch, caplog
):
    hers, his = await open_tab(ann), await open_tab(bob)
    await hers.say("Hello", assistant_id=assistant.pk)
    created = await hers.until("message.created")
    await hers.until("reply.finished")

    async def broken(*arguments):
        raise ValueError("a mistake of ours")

    with monkeypatch.context() as patch:
        patch.setattr("chatapp.socket.conversation_states.open_conversation", broken)
        await his.send("conversation.open", conversation_id=created["conversation_id"])
        await his.until("error", code="internal_error")
    caplog.clear()
    await hers.say("More", conversation_id=created["conversation_id"])
    await hers.until("reply.finished")
    await his.read_all()

    assert {f["type"] for f in his.frames} == {"ready", "error", "pong"}
