"""An assistant in the admin: what it may be, documents from files, and retiring."""

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse
from django.utils import timezone

from chatapp.conversations import access, documents_report
from chatapp.conversations.conversations import assistant_view
from chatapp.models import Assistant, Conversation, Summary, User
from tests.chatapp.test_admin import form_with
from tests.factories import make_assistant, make_conversation, make_talk, make_user

pytestmark = pytest.mark.django_db(transaction=True)
"""The page of a prefix asks the background loop, which writes its ledger beside the test."""


@pytest.fixture
def operator(client) -> User:
    user = make_user("operator", is_staff=True, is_superuser=True)
    client.force_login(user)
    return user


def change(assistant: Assistant) -> str:
    return reverse("admin:chatapp_assistant_change", args=[assistant.pk])


def test_an_effort_that_the_model_lacks_is_refused_in_words(client, operator):
    assistant = make_assistant()
    fields = {**form_with(assistant), "effort": "xhigh"}

    refused = client.post(change(assistant), {**fields, "model": "claude-opus-4-5"})
    taken = client.post(change(assistant), {**fields, "model": "claude-opus-5-5"})
    unknown = client.post(change(assistant), {**fields, "model": "somebody's own"})

    assert (refused.status_code, taken.status_code, unknown.status_code) == (200, 302, 302)
    assert "claude-opus-4-5 takes low, medium, high here" in refused.content.decode()


def test_a_document_comes_from_a_file(client, operator):
    assistant = make_assistant()
    fields = form_with(assistant, "")

    client.post(change(assistant), {**fields, "documents-0-file": SimpleUploadedFile("a.md", b"# Read me\r\nNow")})

    assert assistant.documents.get().text == "# Read me\nNow"


def test_a_file_without_text_gets_an_error_in_its_form(client, operator):
    assistant = make_assistant()
    fields = form_with(assistant, "")

    answer = client.post(change(assistant), {**fields, "documents-0-file": SimpleUploadedFile("a.bin", b"\0\1\2")})

    assert answer.status_code == 200
    assert "Only text, Markdown and PDF files" in answer.content.decode()
    assert not assistant.documents.exists()


def test_documents_that_its_model_cannot_read_are_refused_unless_they_are_cut(client, operator):
    assistant = make_assistant(model="claude-haiku-4-5")
    fields = form_with(assistant, "word " * 200_000)

    refused = client.post(change(assistant), fields)

    told = refused.content.decode()
    assert refused.status_code == 200
    assert "reads at most 200,000: shorten the documents, or switch on “cut documents per question” above" in told
    assert not assistant.documents.exists()
    assert client.post(change(assistant), {**fields, "cuts_documents": "on"}).status_code == 302
    assert assistant.documents.count() == 1
    assert Assistant.objects.get(pk=assistant.pk).passage_tokens == 6_000


def test_of_a_model_that_is_not_known_documents_of_any_length_are_taken(client, operator):
    assistant = make_assistant(model="somebody's own")

    saved = client.post(change(assistant), form_with(assistant, "word " * 500_000))

    assert saved.status_code == 302


def test_both_pages_tell_what_documents_cost_whole_and_cut(client, operator):
    assistant = make_assistant(documents=("word " * 10_000,), passage_tokens=4_000)
    pages = [change(assistant), reverse("admin:chatapp_assistant_prefix", args=[assistant.pk])]

    whole = [client.get(page).content.decode() for page in pages]
    Assistant.objects.filter(pk=assistant.pk).update(cuts_documents=True)
    cut = [client.get(page).content.decode() for page in pages]

    for page in whole:
        assert "whole, in the part that everybody shares" in page
    for page in cut:
        assert "the shared part holds their titles only" in page
    for page in (*whole, *cut):
        assert "with each message from the shared cache" in page
        assert "up to 4,000 tokens and $" in page
    assert "word word" in whole[1]
    assert "word word" not in cut[1]


def test_documents_that_cannot_be_read_whole_have_no_price_for_that():
    assistant = make_assistant(model="claude-haiku-4-5", documents=("word " * 200_000,), cuts_documents=True)

    lines = dict(documents_report.lines_of(assistant))

    assert lines["read whole"] == "impossible: they are more than the model reads"
    assert lines["cut per question"].startswith("up to 6,000 tokens and $0.0075 with each message")


def test_it_tells_what_a_long_history_costs_and_what_summaries_did(client, operator):
    assistant = make_assistant(model="claude-sonnet-5-5", summarise_above_tokens=40_000)
    conversation = make_conversation(make_user(), assistant)
    [_, reply] = make_talk(conversation, ["One", "Two"])
    Summary.objects.create(
        conversation=conversation, through=reply, text="x", written_at=timezone.now(), cost_usd="0.02"
    )

    page = client.get(change(assistant)).content.decode()

    assert "40,000 tokens of history without files, by the same model, from its warm cache" in page
    assert "$0.0040 from a warm cache, $0.1000 after a pause" in page
    assert "1 for $0.0200, 0 of them in use" in page


def test_an_assistant_that_conversations_use_is_retired(client, operator):
    used, unused = make_assistant(is_default=True), make_assistant()
    conversation = make_conversation(make_user(), used, title="a secret title")
    addresses = [reverse("admin:chatapp_assistant_delete", args=[each.pk]) for each in (used, unused)]

    asked = client.get(addresses[0]).content.decode()
    for address in addresses:
        client.post(address, {"post": "yes"})

    assert "is retired, because conversations use it" in asked
    assert "secret" not in asked
    assert [each.pk for each in Assistant.objects.all()] == [used.pk]
    assert Assistant.objects.get().retired_at is not None
    assert list(Conversation.objects.all()) == [conversation]
    assert not access.assistants_for(operator).exists()


def test_what_is_retired_can_be_brought_back(client, operator):
    assistant = make_assistant()
    make_conversation(operator, assistant)
    client.post(reverse("admin:chatapp_assistant_delete", args=[assistant.pk]), {"post": "yes"})

    fields = {"action": "bring_back", "_selected_action": [assistant.pk]}
    client.post(reverse("admin:chatapp_assistant_changelist"), fields)

    assert list(access.assistants_for(operator)) == [assistant]


def test_tools_are_chosen_and_a_search_on_the_web_has_its_price(client, operator):
    assistant = make_assistant()

    page = client.get(change(assistant)).content.decode()
    client.post(
        change(assistant),
        {**form_with(assistant), "own_tools": ["calculator", "current_date"], "max_web_searches": "3"},
    )

    assistant.refresh_from_db()
    assert (assistant.own_tools, assistant.max_web_searches) == (["calculator", "current_date"], 3)
    assert "One costs $0.01, beside the tokens of its results." in page
    prefix = client.get(reverse("admin:chatapp_assistant_prefix", args=[assistant.pk]) + "?raw").json()
    assert [tool["name"] for tool in prefix["tools"]] == ["calculator", "current_date", "web_search"]
    client.post(change(assistant), form_with(assistant))
    assistant.refresh_from_db()
    assert (assistant.own_tools, assistant.max_web_searches) == ([], 0)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"own_tools": ["launch"]}, "launch is not one of the available choices"),
        ({"max_web_searches": "21"}, "less than or equal to 20"),
        ({"tools": '{"name": "a"}'}, "Tools are a list of definitions"),
        ({"tools": '[{"name": "calculator"}]'}, "is a tool that this page has a switch for"),
        ({"tools": '[{"name": "a"}, {"name": "a"}]'}, "Two tools have the name"),
        ({"output_schema": '{"type": "array"}'}, "The answer must be an object"),
        ({"output_schema": '{"type": "object"}'}, "an object needs"),
    ],
)
def test_tools_and_schemas_that_would_be_refused_get_a_sentence(client, operator, fields, words):
    assistant = make_assistant()

    refused = client.post(change(assistant), {**form_with(assistant), **fields})

    assert refused.status_code == 200
    assert words in refused.content.decode()


def test_an_assistant_with_a_schema_is_saved(client, operator):
    assistant = make_assistant()
    schema = '{"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": false}'

    saved = client.post(change(assistant), {**form_with(assistant), "output_schema": schema})

    assert saved.status_code == 302
    prefix = client.get(reverse("admin:chatapp_assistant_prefix", args=[assistant.pk]) + "?raw").json()
    assert (prefix["tools"][0]["name"], prefix["tools"][0]["strict"]) == ("structured_answer", True)
    assert "output_config" not in prefix


def test_suggestions_are_few_and_short(client, operator):
    assistant = make_assistant()
    fields = form_with(assistant)

    long = client.post(change(assistant), {**fields, "suggestions": "x" * 201})
    many = client.post(change(assistant), {**fields, "suggestions": "a\n" * 7})
    taken = client.post(change(assistant), {**fields, "suggestions": " What is a ship? \r\n\r\nWhy?"})

    assert (long.status_code, many.status_code, taken.status_code) == (200, 200, 302)
    assistant.refresh_from_db()
    assert assistant.suggestions == "What is a ship?\nWhy?"
    assert assistant_view(assistant).suggestions == ["What is a ship?", "Why?"]
