"""The operator's pages: they open, they show no text of a conversation in lists, and they keep to the policy."""

import time
from datetime import timedelta
from decimal import Decimal
from urllib.parse import urlencode

import pytest
from django.contrib.auth.models import Group
from django.urls import reverse
from django.utils import timezone

from chatapp.models import Assistant, Attachment, Document, Message, UsageLimit, User
from chatapp.protocol.views import QuotaView
from chatapp.quotas import accounts, refusals
from chatapp.quotas.measures import Amount, units_of
from tests.factories import make_assistant, make_conversation, make_message, make_user

MODELS = (
    "assistant",
    "conversation",
    "message",
    "attachment",
    "user",
    "usagelimit",
    "usageaccount",
    "limitmet",
    "erasure",
)
SECRET = "a secret between two"


@pytest.fixture
def operator(client) -> User:
    user = make_user("operator", is_staff=True, is_superuser=True)
    client.force_login(user)
    return user


@pytest.fixture
def conversation(operator):
    conversation = make_conversation(operator, make_assistant(documents=("A document.",)), title=SECRET)
    message = make_message(conversation, SECRET)
    Attachment.objects.create(user=operator, message=message, name="notes.txt", text=SECRET)
    return conversation


@pytest.mark.django_db
@pytest.mark.parametrize("model", MODELS)
def test_lists_open_and_search_without_showing_what_people_wrote(client, conversation, model):
    url = reverse(f"admin:chatapp_{model}_changelist")

    pages = [client.get(url), client.get(url, {"q": "operator"})]

    assert [page.status_code for page in pages] == [200, 200]
    assert not any(SECRET.encode() in page.content for page in pages)


@pytest.mark.django_db
@pytest.mark.parametrize("model", MODELS)
def test_a_pattern_in_the_address_is_refused_before_the_database_sees_it(client, operator, model):
    refused = client.get(reverse(f"admin:chatapp_{model}_changelist"), {"id__regex": "["})

    assert refused.status_code == 400


@pytest.mark.django_db
@pytest.mark.parametrize("path", [*(f"chatapp/{model}" for model in MODELS), "auth/group", "axes/accessattempt"])
def test_a_nul_in_the_address_is_no_error(client, conversation, path):
    for query in ("q=%00", "q=a%00b", "id=%00", "p=%00", "o=%00", "created_at__gte=%00", "model=%00", "user=%00"):
        answer = client.get(f"/admin/{path}/?{query}", follow=True)
        assert answer.status_code in (200, 400), query
    assert client.get("/admin/chatapp/user/%00/change/", follow=True).status_code == 200
    fields = {"app_label": "chatapp", "model_name": "usagelimit", "field_name": "user", "term": "op\0erator"}
    assert client.get("/admin/autocomplete/", fields).json()["results"][0]["text"] == "operator"


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("tools", '[{"name": "a\\u0000b"}]'),
        ("output_schema", '{"type": "object", "properties": {}, "additionalProperties": false, "title": "\\u0000"}'),
    ],
)
def test_a_nul_in_a_form_is_told_in_the_form(client, operator, name, value):
    assistant = make_assistant()
    fields = {**form_with(assistant), name: value}

    answer = client.post(reverse("admin:chatapp_assistant_change", args=[assistant.pk]), fields)

    assert answer.status_code == 200
    assert "holds a NUL character" in answer.content.decode()


@pytest.mark.django_db
@pytest.mark.parametrize(("model", "columns"), [("attachment", ("picture", "text")), ("message", ("content", "text"))])
def test_a_list_reads_no_picture_and_no_text(client, conversation, django_assert_max_num_queries, model, columns):
    with django_assert_max_num_queries(20) as queries:
        client.get(reverse(f"admin:chatapp_{model}_changelist"))

    read = [query["sql"] for query in queries if query["sql"].startswith("SELECT")]
    assert not [sql for sql in read if any(f'"chatapp_{model}"."{column}"' in sql for column in columns)]


@pytest.mark.django_db
def test_the_newest_message_comes_first(client, conversation):
    newest = make_message(conversation, "the last one")
    Message.objects.filter(pk=newest.pk).update(created_at=timezone.now() + timedelta(hours=1))

    page = client.get(reverse("admin:chatapp_message_changelist"))

    assert page.context["cl"].result_list[0] == newest


@pytest.mark.django_db
@pytest.mark.parametrize("model", ["conversation", "message", "attachment"])
def test_what_people_wrote_cannot_be_changed_or_invented(client, conversation, model):
    row = {
        "conversation": conversation,
        "message": conversation.messages.get(),
        "attachment": Attachment.objects.get(),
    }[model]

    change = client.post(reverse(f"admin:chatapp_{model}_change", args=[row.pk]), {"title": "changed"})
    add = client.get(reverse(f"admin:chatapp_{model}_add"))

    assert (change.status_code, add.status_code) == (403, 403)


def form_of(assistant: Assistant, **changes: object) -> dict[str, object]:
    """What the admin's page would send, with nothing changed but `changes`."""
    names = ("name", "slug", "model", "system_prompt", "max_output_tokens", "shared_ttl", "conversation_ttl")
    documents = list(assistant.documents.all())
    form: dict[str, object] = {name: getattr(assistant, name) for name in names}
    form |= {"tools": "[]", "output_schema": "null"}
    form |= {"documents-TOTAL_FORMS": len(documents), "documents-INITIAL_FORMS": len(documents)}
    for number, document in enumerate(documents):
        fields = {"id": document.pk, "assistant": assistant.pk, "title": document.title, "text": document.text}
        form |= {f"documents-{number}-{name}": value for name, value in {**fields, "position": number}.items()}
    return {**form, **changes}


@pytest.mark.django_db
def test_an_assistant_is_edited_together_with_its_documents(client, operator):
    assistant = make_assistant(documents=("Old text.",))
    url = reverse("admin:chatapp_assistant_change", args=[assistant.pk])

    response = client.post(
        url, form_of(assistant, name="Renamed", shared_ttl="1h", **{"documents-0-text": "New text."})
    )

    assert response.status_code == 302
    assert Assistant.objects.values_list("name", "shared_ttl").get() == ("Renamed", "1h")
    assert Document.objects.values_list("text", flat=True).get() == "New text."


@pytest.mark.django_db
def test_a_new_default_takes_the_place_of_the_old_one(client, operator):
    make_assistant(is_default=True)
    assistant = make_assistant()

    client.post(reverse("admin:chatapp_assistant_change", args=[assistant.pk]), form_of(assistant, is_default="on"))

    assert Assistant.objects.get(is_default=True) == assistant


@pytest.mark.django_db
def test_the_number_of_queries_does_not_grow_with_the_rows(client, operator, django_assert_max_num_queries):
    assistant = make_assistant(documents=("One.", "Two."))
    for _ in range(10):
        make_message(make_conversation(operator, assistant))
    client.get("/accounts/")  # the first page of a session is noted in its person's list

    for model in MODELS:
        with django_assert_max_num_queries(12):
            client.get(reverse(f"admin:chatapp_{model}_changelist"))


@pytest.mark.django_db
def test_people_who_are_not_staff_stay_outside(client):
    client.force_login(make_user())

    response = client.get("/admin/")

    assert response.status_code == 302
    assert response["Location"].startswith("/admin/login/")


@pytest.mark.django_db
def test_the_admin_s_policy_leaves_out_what_its_scripts_cannot_keep(client, operator):
    header = client.get("/admin/")["Content-Security-Policy"]
    policy = dict(directive.strip().partition(" ")[::2] for directive in header.split(";"))

    assert not {"trusted-types", "require-trusted-types-for"} & policy.keys()
    assert policy["script-src"] == "'self'"
    assert policy["img-src"] == "'self' data:"


def form_with(assistant: Assistant, *texts: str) -> dict:
    fields = {
        **{"name": assistant.name, "slug": assistant.slug, "model": assistant.model, "system_prompt": "You help."},
        **{"max_output_tokens": 4096, "shared_ttl": "auto", "conversation_ttl": "auto", "tools": "[]"},
        **{"output_schema": "null", "documents-TOTAL_FORMS": len(texts), "documents-INITIAL_FORMS": 0},
    }
    for n, text in enumerate(texts):
        fields |= {f"documents-{n}-title": f"Document {n}", f"documents-{n}-position": n, f"documents-{n}-text": text}
    return fields


def saved(client, assistant: Assistant, *texts: str):
    url = reverse("admin:chatapp_assistant_change", args=[assistant.pk])
    # Some of these have more than any model reads.
    body = urlencode(form_with(assistant, *texts) | {"cuts_documents": "on", "passage_tokens": 6000})
    return client.post(url, body, content_type="application/x-www-form-urlencoded")


@pytest.mark.django_db
def test_documents_of_four_megabytes_are_saved_and_the_assistant_can_be_edited_again(client, operator):
    assistant = make_assistant()
    # Worst of all: three bytes of the form for each byte.
    text = "é" * (2 * 1024**2)

    assert saved(client, assistant, text, "x" * 4_000_000).status_code == 302

    sizes = [len(document.text.encode()) for document in assistant.documents.all()]
    assert sizes == [4 * 1024**2, 4_000_000]
    assert client.get(reverse("admin:chatapp_assistant_change", args=[assistant.pk])).status_code == 200


@pytest.mark.django_db
def test_larger_documents_get_an_error_in_their_form(client, operator, monkeypatch):
    assistant = make_assistant()

    one = saved(client, assistant, "x" * (4 * 1024**2 + 1))
    several = saved(client, assistant, *["x" * (4 * 1024**2)] * 5)

    assert (one.status_code, several.status_code) == (200, 200)
    assert "This document holds 4.0 MB, and may hold at most 4 MB." in one.content.decode()
    assert "The documents hold 20.0 MB together, and may hold at most 16 MB" in several.content.decode()
    assert not assistant.documents.exists()


@pytest.mark.django_db
def test_an_assistant_may_have_hundreds_of_documents(client, operator):
    assistant = make_assistant()

    assert saved(client, assistant, *["text"] * 400).status_code == 302
    assert assistant.documents.count() == 400


@pytest.mark.django_db
def test_others_may_not_send_that_much_and_are_told_in_words(client):
    large = {"username": "x" * (1024**2 + 1), "password": "x"}
    member = make_user("member")

    answers = [client.post("/accounts/login/", large), client.post("/admin/login/", large)]
    client.force_login(member)
    answers.append(client.post("/admin/", large))

    assert [answer.status_code for answer in answers] == [413, 413, 413]
    assert "A form may hold at most 1 MB here" in answers[0].content.decode()


@pytest.mark.django_db
def test_limits_are_set_for_one_and_not_twice(client, operator):
    url = reverse("admin:chatapp_usagelimit_add")
    form = {"applies_to": "one_person", "user": operator.pk, "usd_per_day": "2.50"}

    without_anyone = client.post(url, {**form, "user": ""})
    added, again = client.post(url, form), client.post(url, form)
    negative = client.post(url, {"applies_to": "each_person", "usd_per_day": "-1"})

    assert "Say which user." in without_anyone.text
    assert (added.status_code, again.status_code, negative.status_code) == (302, 200, 200)
    assert "There are limits for this already" in again.text
    assert UsageLimit.objects.get().usd_per_day == Decimal("2.50")


@pytest.mark.django_db
def test_operators_see_who_used_what_and_who_met_a_limit(client, operator):
    group = Group.objects.create(name="trial")
    operator.groups.add(group)
    accounts.post(operator.pk, Amount(messages=3, units=units_of(Decimal("1.25"))), now=time.time(), groups=[group.pk])
    quota = QuotaView(measure="usd_per_day", scope="group", limit="5.00", left="0.10", until=None)
    refusals.note(operator.pk, quota, now=time.time())
    refusals.write()

    used = client.get(reverse("admin:chatapp_usageaccount_changelist")).text
    met = client.get(reverse("admin:chatapp_limitmet_changelist")).text

    for words in ("operator", "trial", "everybody together", "1.25"):
        assert words in used
    for words in ("operator", "dollars a day", "a group together", "5.00"):
        assert words in met
