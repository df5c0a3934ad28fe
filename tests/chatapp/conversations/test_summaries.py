"""Which summary stands for the earlier part of a conversation, on which path, and what the assistant is sent then."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from chatapp.conversations import exports, prepared_conversations, prompts, summaries
from chatapp.models import Attachment, Conversation, Message, Summary
from chatapp.socket import history
from tests.factories import make_assistant, make_conversation, make_message, make_talk, make_user
from warmcache.core.prefix import Request, build

pytestmark = pytest.mark.django_db


@pytest.fixture
def conversation() -> Conversation:
    return make_conversation(make_user("ann"), make_assistant(documents=("One document.",)))


@pytest.fixture
def talk(conversation: Conversation) -> list[Message]:
    """Ten turns."""
    return make_talk(conversation, [f"Message {number}" for number in range(20)])


def summarise(conversation: Conversation, through: Message, *, used_from: Message | None = None) -> Summary:
    return Summary.objects.create(
        conversation=conversation, through=through, used_from=used_from, text="In short.", model="claude-haiku-4-5"
    )


def request_after(conversation: Conversation, parent: Message, text: str = "And now?") -> Request:
    question = make_message(conversation, text, parent=parent)
    draft, turn = prompts.draft_and_turn(question.content)
    before = prepared_conversations.before(conversation, question.parent_id)
    request = build(before.with_draft(draft), turn)
    question.delete()
    return request


def said(request: Request) -> list[str]:
    return [block.get("text", block["type"]) for turn in request.body["messages"] for block in turn["content"]]


IN_SHORT = summaries.FRAME.format(text="In short.")


def test_it_stands_for_what_it_summarises_and_the_end_stays_word_for_word(conversation, talk):
    summarise(conversation, talk[11], used_from=talk[19])

    sent = said(request_after(conversation, talk[19]))

    assert sent == [IN_SHORT, *(f"Message {number}" for number in range(12, 20)), "And now?"]


def test_what_is_warmed_is_what_is_sent_before_and_after_it_comes_into_use(conversation, talk):
    waiting = summarise(conversation, talk[11])
    for is_used in (False, True):
        if is_used:
            conversation.refresh_from_db()
            assert summaries.use(waiting, from_id=talk[19].pk, version=conversation.version)
        conversation.refresh_from_db()
        warmed = build(prepared_conversations.of(conversation).prompt, None)
        sent = request_after(conversation, talk[19])

        assert said(warmed)[:-1] == said(sent)[:-1]
        assert (said(sent)[0] == IN_SHORT) is is_used
        assert {p.prefix_hash for p in warmed.prefix.breakpoints} <= {p.prefix_hash for p in sent.prefix.breakpoints}


def test_a_process_that_has_the_conversation_ready_reads_it_anew(conversation, talk):
    waiting = summarise(conversation, talk[11])
    conversation.refresh_from_db()
    before = prepared_conversations.of(conversation)

    summaries.use(waiting, from_id=talk[19].pk, version=conversation.version)

    conversation.refresh_from_db()
    assert prepared_conversations.current(conversation) is None
    assert prepared_conversations.of(conversation).prompt.size_bytes != before.prompt.size_bytes


def test_nobody_s_new_message_is_overtaken(conversation, talk):
    waiting = summarise(conversation, talk[11])
    conversation.refresh_from_db()
    read = conversation.version
    make_message(conversation, "Meanwhile", parent=talk[19])

    assert not summaries.use(waiting, from_id=talk[19].pk, version=read)
    assert Summary.objects.get().used_from is None


@pytest.mark.parametrize("edited", [4, 14])
def test_an_edit_before_its_use_leaves_it_behind(conversation, talk, edited):
    summarise(conversation, talk[11], used_from=talk[19])

    other = make_message(conversation, "Otherwise", parent=talk[edited - 1], edit_of=talk[edited])
    answer = make_message(conversation, "I see", parent=other, role="assistant")

    assert said(request_after(conversation, answer)) == [
        *(f"Message {number}" for number in range(edited)),
        "Otherwise",
        "I see",
        "And now?",
    ]


def test_an_edit_after_its_use_keeps_it(conversation, talk):
    summarise(conversation, talk[3], used_from=talk[11])

    other = make_message(conversation, "Otherwise", parent=talk[13], edit_of=talk[14])
    answer = make_message(conversation, "I see", parent=other, role="assistant")

    sent = said(request_after(conversation, answer))
    assert sent == [IN_SHORT, *(f"Message {number}" for number in range(4, 14)), "Otherwise", "I see", "And now?"]


def test_another_branch_uses_it_again_and_pays_nothing(conversation, talk):
    used = summarise(conversation, talk[7], used_from=talk[19])
    branch = make_talk(conversation, [f"Other {number}" for number in range(10)], after=talk[9])
    path = [message.pk for message in (*talk[:10], *branch)]

    waiting = summaries.waiting_on(conversation.pk, path)
    assert waiting == used
    conversation.refresh_from_db()
    assert summaries.use(waiting, from_id=branch[-1].pk, version=conversation.version)

    again = summaries.in_use(conversation.pk, path)
    assert (again.through_id, again.cost_usd, again.text) == (talk[7].pk, 0, "In short.")
    assert summaries.in_use(conversation.pk, [message.pk for message in talk]) == used
    assert said(request_after(conversation, branch[-1]))[:2] == [IN_SHORT, "Message 8"]


def test_a_later_one_takes_the_place_of_an_earlier_one(conversation, talk):
    summarise(conversation, talk[3], used_from=talk[9])
    later = Summary.objects.create(conversation=conversation, through=talk[9], used_from=talk[17], text="Shorter.")

    sent = said(request_after(conversation, talk[19]))

    assert sent[:2] == [summaries.FRAME.format(text="Shorter."), "Message 10"]
    assert summaries.in_use(conversation.pk, [message.pk for message in talk]) == later


def test_files_stay_before_the_assistant(conversation, talk):
    file = Attachment.objects.create(user=conversation.user, message=talk[2], name="plan.txt", text="The plan.")
    Message.objects.filter(pk=talk[2].pk).update(content=prompts.message_content("See this", [file]))
    summarise(conversation, talk[11], used_from=talk[19])

    first = request_after(conversation, talk[19]).body["messages"][0]["content"]

    assert [block["type"] for block in first[:2]] == ["document", "text"]
    assert first[0]["source"]["data"] == "The plan."
    assert first[1]["text"] == IN_SHORT


def test_files_are_no_part_of_what_could_be_summarised(conversation, talk):
    file = Attachment.objects.create(user=conversation.user, name="a", text="x" * 5000, size_bytes=5000)
    picture = Attachment.objects.create(user=conversation.user, name="b", media_type="image/png", size_bytes=9)
    Message.objects.filter(pk=talk[2].pk).update(content=prompts.message_content("", [file, picture]))
    old = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "y" * 500}}
    Message.objects.filter(pk=talk[4].pk).update(content=[old])

    assert summaries.tokens_of_files([message.pk for message in talk], 2.5, 1500) == 2000 + 1500 + 200


def test_thinking_from_before_its_use_is_not_sent(conversation, talk):
    shared = prepared_conversations.shared_prompt(conversation.assistant).shared_hash
    thought = [{"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}, {"type": "text", "text": "Of course."}]
    Message.objects.filter(conversation=conversation, role="assistant").update(content=thought, shared_hash=shared)
    summarise(conversation, talk[3], used_from=talk[13])

    kinds = [
        block["type"]
        for turn in request_after(conversation, talk[19]).body["messages"]
        if turn["role"] == "assistant"
        for block in turn["content"]
    ]

    assert kinds.count("text") == 8
    assert kinds.count("thinking") == 3, "the replies after it came into use"
    assert kinds[:5] == ["text"] * 5


def test_one_process_at_a_time_writes_one(conversation, talk):
    now = timezone.now()
    claimed = summaries.claim(conversation, talk[11].pk, now=now)

    assert claimed is not None
    assert summaries.claim(conversation, talk[11].pk, now=now) is None
    assert summaries.claim(conversation, talk[11].pk, now=now + summaries.WRITING + timedelta(seconds=1)) is not None
    assert not summaries.written(claimed, text="Late.", model="m", before=1, cost_usd=Decimal(0), now=now)


def test_after_a_failure_it_waits_before_the_next_attempt(conversation, talk):
    now = timezone.now()
    summaries.failed(summaries.claim(conversation, talk[11].pk, now=now), now=now)

    assert summaries.claim(conversation, talk[13].pk, now=now + timedelta(minutes=1)) is None
    assert summaries.claim(conversation, talk[13].pk, now=now + summaries.PAUSE + timedelta(seconds=1)) is not None


def test_one_without_a_text_stands_for_nothing(conversation, talk):
    summaries.claim(conversation, talk[11].pk, now=timezone.now())

    assert summaries.waiting_on(conversation.pk, [message.pk for message in talk]) is None
    assert said(request_after(conversation, talk[19]))[0] == "Message 0"


def test_it_goes_with_its_conversation(conversation, talk):
    summarise(conversation, talk[11], used_from=talk[19])

    Conversation.objects.filter(pk=conversation.pk).delete()

    assert not Summary.objects.exists()


def test_a_message_that_is_changed_by_hand_takes_it_away(conversation, talk):
    summarise(conversation, talk[11], used_from=talk[19])

    talk[14].save()
    assert Summary.objects.exists()
    talk[5].save()
    assert not Summary.objects.exists()


def test_the_page_shows_it_after_the_last_message_that_it_summarises(conversation, talk):
    summarise(conversation, talk[11], used_from=talk[19])

    part = history.newest(conversation, history.outline_of(conversation.pk))

    shown = {view.id: view.summary.text for view in part.messages if view.summary is not None}
    assert shown == {talk[11].pk: "In short."}
    assert len(part.messages) == len(talk)


def test_an_export_has_the_messages_themselves(conversation, talk):
    summarise(conversation, talk[11], used_from=talk[19])

    written = exports.as_markdown(conversation).content.decode()

    assert all(message.text in written for message in talk)
    assert "In short." not in written
