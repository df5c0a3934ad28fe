"""A conversation as a file."""

import json

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone

from chatapp.models import Conversation, Summary, User
from tests.factories import make_assistant, make_conversation, make_message, make_talk, make_user


@pytest.fixture
def ann(client: Client, db) -> User:
    user = make_user("ann")
    client.force_login(user)
    return user


@pytest.fixture
def conversation(ann) -> Conversation:
    """With two versions of its second question; the newer one is shown."""
    conversation = make_conversation(ann, make_assistant(name="Guide"), title='Ships/"boats" 東京')
    talk = make_talk(conversation, ["Which ship?", "The **blue** one.", "Why?", "Because."])
    edited = make_message(conversation, "Why blue?", parent=talk[1], edit_of=talk[2])
    make_message(conversation, "It is the sea.", role="assistant", parent=edited, content=[])
    return conversation


def test_markdown_has_the_shown_branch_to_read(client, conversation):
    answer = client.get(f"/c/{conversation.pk}/export.md")

    assert answer["Content-Type"] == "text/markdown; charset=utf-8"
    assert answer["Content-Disposition"].startswith("attachment; filename*=utf-8''Ships-boats-")
    text = answer.content.decode()
    assert text.startswith('# Ships/"boats" 東京\n\nGuide, ')
    assert text.endswith(
        "## You\n\nWhich ship?\n\n## Guide\n\nThe **blue** one.\n\n## You\n\nWhy blue?\n\n## Guide\n\nIt is the sea.\n"
    )


def test_json_has_all_branches_and_says_which_is_shown(client, conversation):
    answer = client.get(f"/c/{conversation.pk}/export.json")

    told = json.loads(answer.content)
    assert (told["format"], told["version"], told["title"]) == ("warmcache.conversation", 1, conversation.title)
    messages = told["messages"]
    assert [message["text"] for message in messages if message["is_shown"]] == [
        "Which ship?",
        "The **blue** one.",
        "Why blue?",
        "It is the sea.",
    ]
    assert len(messages) == 6
    assert {message["parent_id"] for message in messages[1:]} <= {message["id"] for message in messages}


def test_json_has_the_summaries_and_marks_what_they_stand_for(client, ann):
    conversation = make_conversation(ann, make_assistant())
    talk = make_talk(conversation, [str(number) for number in range(12)])
    [used, _] = [
        Summary.objects.create(
            conversation=conversation, through=talk[1], used_from=used_from, text=text, written_at=timezone.now()
        )
        for used_from, text in ((talk[9], "In short."), (None, "Not in use yet."))
    ]
    Summary.objects.create(conversation=conversation, through=talk[3], failed_at=timezone.now())

    told = json.loads(client.get(f"/c/{conversation.pk}/export.json").content)

    assert [each["text"] for each in told["summaries"]] == ["In short.", "Not in use yet."]
    first = told["summaries"][0]
    assert (first["through_id"], first["used_from_id"]) == (str(used.through_id), str(talk[9].pk))
    assert [each["text"] for each in told["messages"] if each["is_summarised"]] == ["0", "1"]


def test_what_is_exported_with_summaries_is_imported_without_them(client, ann):
    make_assistant(is_default=True)
    conversation = make_conversation(ann)
    talk = make_talk(conversation, ["One", "Two", "Three", "Four"])
    Summary.objects.create(conversation=conversation, through=talk[1], used_from=talk[3], text="In short.")
    exported = client.get(f"/c/{conversation.pk}/export.json").content

    answer = client.post("/import/", {"file": SimpleUploadedFile("chat.json", exported)})

    assert answer.status_code == 201
    copy = ann.conversations.exclude(pk=conversation.pk).get()
    assert list(copy.messages.order_by("created_at").values_list("text", flat=True)) == ["One", "Two", "Three", "Four"]
    assert not copy.summaries.exists()


@pytest.mark.parametrize("name", ["export.md", "export.json"])
def test_a_conversation_of_others_or_a_deleted_one_cannot_be_had(client, ann, name):
    foreign = make_conversation()

    assert client.get(f"/c/{foreign.pk}/{name}").status_code == 404
    assert Client().get(f"/c/{foreign.pk}/{name}").status_code == 302


def test_a_structured_answer_is_in_the_file_as_code(client, ann):
    conversation = make_conversation(ann, make_assistant(name="Guide"))
    question = make_message(conversation, "How warm?")
    call = {"type": "tool_use", "name": "structured_answer"}
    content = [
        {**call, "id": "toolu_1", "input_json": '{"degrees": "warm"}'},
        {"type": "tool_result", "tool_use_id": "toolu_1", "content": [], "is_error": True},
        {**call, "id": "toolu_2", "input_json": '{"degrees": 20}'},
        {"type": "tool_result", "tool_use_id": "toolu_2", "content": []},
    ]
    make_message(conversation, "", role="assistant", parent=question, content=content)

    text = client.get(f"/c/{conversation.pk}/export.md").content.decode()
    told = client.get(f"/c/{conversation.pk}/export.json").json()

    assert text.endswith('## Guide\n\n```json\n{\n  "degrees": 20\n}\n```\n')
    assert told["messages"][1]["text"] == '```json\n{\n  "degrees": 20\n}\n```'
