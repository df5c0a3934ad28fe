"""Pages and plain HTTP endpoints, without a browser."""

import json
import re

import pytest
from django.http import HttpResponse
from django.test import Client

from chatapp.models import Conversation
from chatapp.protocol.views import ConversationView
from tests.factories import make_assistant, make_conversation, make_user

pytestmark = pytest.mark.django_db(transaction=True)


def page_config(response: HttpResponse) -> dict:
    found = re.search(r'<script id="config" type="application/json">(.*?)</script>', response.content.decode())
    assert found
    return json.loads(found[1])


@pytest.fixture
def ann(client: Client):
    user = make_user("ann")
    client.force_login(user)
    return user


@pytest.mark.parametrize("path", ["/", "/c/5a0e62c9-7a0c-4f5f-9a3c-3f3f6f1b7a10/"])
def test_a_stranger_is_sent_to_the_sign_in_page(client, path):
    response = client.get(path)

    assert response.status_code == 302
    assert response["Location"] == f"/accounts/login/?next={path}"


def test_the_home_page_gives_its_scripts_the_facts(client, ann):
    default = make_assistant(name="Guide", is_default=True)
    make_assistant(name="Another")
    conversation = make_conversation(ann, default, title="Earlier")
    make_conversation(assistant=default, title="Somebody else's")

    config = page_config(client.get("/"))

    assert config["conversation_id"] is None
    assert config["assistant_id"] == default.pk
    assert [each["name"] for each in config["assistants"]] == ["Guide", "Another"]
    assert [each["id"] for each in config["conversations"]] == [str(conversation.id)]
    assert set(config["conversations"][0]) == set(ConversationView.__struct_fields__)
    assert config["upstream"] == "simulator"
    assert config["user"] == {"id": ann.pk, "username": "ann", "is_staff": False}
    assert config["urls"]["admin"] is None
    assert config["csrf_token"]


def test_a_title_cannot_break_out_of_the_page_s_data(client, ann):
    make_conversation(ann, title="</script><script>alert(1)</script>")

    response = client.get("/")

    assert b"<script>alert" not in response.content
    assert page_config(response)["conversations"][0]["title"] == "</script><script>alert(1)</script>"


def test_staff_get_the_way_to_the_admin(client):
    make_assistant()
    client.force_login(make_user(is_staff=True))

    assert page_config(client.get("/"))["urls"]["admin"] == "/admin/"


def test_the_page_of_a_conversation_opens_it_with_its_own_assistant(client, ann):
    make_assistant(is_default=True)
    conversation = make_conversation(ann)

    config = page_config(client.get(f"/c/{conversation.id}/"))

    assert config["conversation_id"] == str(conversation.id)
    assert config["assistant_id"] == conversation.assistant_id


def test_without_an_assistant_the_page_says_so(client, ann):
    response = client.get("/")

    assert response.status_code == 503


def test_the_number_of_queries_does_not_grow_with_the_conversations(client, ann, django_assert_num_queries):
    assistant = make_assistant()
    for _ in range(5):
        make_conversation(ann, assistant)
    client.get("/accounts/")  # the first page of a session is noted in its person's list

    with django_assert_num_queries(5):  # session, user, assistants, conversations, those that are pinned
        client.get("/")


@pytest.mark.parametrize("verb", ["", "rename/", "delete/"])
def test_another_person_s_conversation_does_not_exist(client, ann, verb):
    foreign = make_conversation(title="Private")
    send = client.post if verb else client.get

    response = send(f"/c/{foreign.id}/{verb}", {"title": "Mine now"})

    assert response.status_code == 404
    foreign.refresh_from_db()
    assert foreign.title == "Private"


def test_the_owner_renames_a_conversation(client, ann):
    conversation = make_conversation(ann)

    response = client.post(f"/c/{conversation.id}/rename/", {"title": "  Better  "})

    assert response.status_code == 204
    conversation.refresh_from_db()
    assert conversation.title == "Better"


@pytest.mark.parametrize("title", ["", "   ", "x" * 121, "a\x00b"])
def test_a_title_that_cannot_be_kept_is_refused(client, ann, title):
    conversation = make_conversation(ann, title="Kept")

    response = client.post(f"/c/{conversation.id}/rename/", {"title": title})

    assert response.status_code == 400
    assert "title" in response.json()["errors"]
    conversation.refresh_from_db()
    assert conversation.title == "Kept"


def test_the_owner_deletes_a_conversation(client, ann):
    conversation = make_conversation(ann)

    response = client.post(f"/c/{conversation.id}/delete/")

    assert response.status_code == 204
    assert client.get(f"/c/{conversation.id}/").status_code == 404
    assert page_config(client.get("/"))["conversations"] == []


@pytest.mark.parametrize("verb", ["rename", "delete", "restore", "pin", "archive"])
def test_changes_need_a_post_with_the_token(ann, verb):
    conversation = make_conversation(ann)
    careful = Client(enforce_csrf_checks=True)
    careful.force_login(ann)

    assert careful.get(f"/c/{conversation.id}/{verb}/").status_code == 405
    assert careful.post(f"/c/{conversation.id}/{verb}/", {"title": "x"}).status_code == 403
    assert Conversation.objects.filter(title="A chat").exists()


def test_signing_in_and_out(client):
    make_assistant()
    make_user("ann", password="correct horse")

    signed_in = client.post("/accounts/login/", {"username": "ann", "password": "correct horse"})
    signed_out = client.post("/accounts/logout/")

    assert (signed_in.status_code, signed_in["Location"]) == (302, "/")
    assert (signed_out.status_code, signed_out["Location"]) == (302, "/accounts/login/")
    assert client.get("/").status_code == 302


def test_signing_out_needs_a_post(client, ann):
    assert client.get("/accounts/logout/").status_code == 405


def test_a_wrong_name_and_a_wrong_password_get_the_same_answer(client):
    make_user("ann")
    token = re.compile(rb'csrfmiddlewaretoken" value="[^"]+"|value="(ann|nobody)"')

    pages = [
        token.sub(b"", client.post("/accounts/login/", {"username": name, "password": "wrong"}).content)
        for name in ("ann", "nobody")
    ]

    assert pages[0] == pages[1]


def test_signing_in_does_not_lead_to_another_site(client):
    make_user("ann", password="correct horse")
    data = {"username": "ann", "password": "correct horse", "next": "https://evil.example/"}

    assert client.post("/accounts/login/", data)["Location"] == "/"


def test_pages_are_not_kept_by_caches_and_carry_the_policy(client, ann):
    make_assistant()

    response = client.get("/")

    assert "no-store" in response["Cache-Control"]
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["X-Frame-Options"] == "DENY"
    assert response["Referrer-Policy"] == "same-origin"
    assert response["Cross-Origin-Opener-Policy"] == "same-origin"
    policy = dict(part.strip().split(" ", 1) for part in response["Content-Security-Policy"].split(";"))
    nonce = policy.pop("script-src").removeprefix("'self' ")
    assert re.fullmatch(r"'nonce-[\w+/=]{20,}'", nonce)
    assert policy == {
        "default-src": "'none'",
        "style-src": "'self'",
        "img-src": "'self' blob:",
        "font-src": "'self'",
        "connect-src": "'self'",
        "manifest-src": "'self'",
        "form-action": "'self'",
        "base-uri": "'none'",
        "object-src": "'none'",
        "frame-ancestors": "'none'",
        "trusted-types": "dompurify",
        "require-trusted-types-for": "'script'",
    }


def test_cookies_are_kept_from_scripts_and_from_other_sites(client):
    make_user("ann", password="correct horse")

    client.get("/accounts/login/")
    client.post("/accounts/login/", {"username": "ann", "password": "correct horse"})

    for name in ("sessionid", "csrftoken"):
        assert client.cookies[name]["httponly"]
        assert client.cookies[name]["samesite"] == "Lax"


def test_the_favicon_of_old_browsers_is_the_page_s(client):
    response = client.get("/favicon.ico")

    assert (response.status_code, response["Location"]) == (302, "/static/img/favicon.svg")


@pytest.mark.parametrize(
    ("upstream", "key", "words"),
    [
        ("simulator", "", b"no API key is set"),
        ("simulator", "sk-test", b"the configured endpoint is a simulator"),
        ("local", "sk-test", b"local model"),
    ],
)
def test_every_page_says_when_it_is_not_the_real_api(client, settings, ann, upstream, key, words):
    settings.WARMCACHE = {**settings.WARMCACHE, "UPSTREAM": upstream}
    settings.ANTHROPIC_API_KEY = key
    make_assistant()

    pages = [client.get(path) for path in ("/", "/nowhere/")]
    client.logout()
    pages.append(client.get("/accounts/login/"))

    assert [words in page.content for page in pages] == [True, True, True]
