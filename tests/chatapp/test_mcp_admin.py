"""MCP servers in the admin, in the checks, and on the page of an account."""

import pytest
from django.core.checks import run_checks
from django.urls import reverse
from django.utils.translation import deactivate

from chatapp import checks
from chatapp.conversations import own_data, prompts
from chatapp.models import Assistant, McpConsent, McpServer, McpTool, User
from tests.chatapp.test_admin import form_with
from tests.factories import make_assistant, make_user

pytestmark = pytest.mark.django_db(transaction=True)

FIELDS = {
    "name": "Words",
    "prefix": "words",
    "url": "https://words.example/mcp",
    "header": "Authorization",
    "secret_variable": "MCP_SECRET_WORDS",
    "is_enabled": "on",
}


@pytest.fixture
def operator(client) -> User:
    user = make_user("operator", is_staff=True, is_superuser=True)
    client.force_login(user)
    return user


def page_of(server: McpServer) -> str:
    return reverse("admin:chatapp_mcpserver_tools", args=[server.pk])


def a_tool(name: str = "look_up", *, server: McpServer | None = None) -> McpTool:
    listed = server or McpServer.objects.create(name="Words", prefix="words", url="https://words.example/mcp")
    definition = {"description": "Looks up.", "input_schema": {"type": "object"}}
    return McpTool.objects.create(
        server=listed, name=name, sent_name=f"words__{name}", definition=definition, digest="d"
    )


def test_a_server_is_added_and_a_missing_secret_is_told_but_never_the_secret(client, operator, monkeypatch):
    monkeypatch.delenv("MCP_SECRET_WORDS", raising=False)
    add = reverse("admin:chatapp_mcpserver_add")

    told = client.post(add, FIELDS, follow=True).content.decode()
    assert "The environment has no MCP_SECRET_WORDS, so Words cannot be asked" in told

    monkeypatch.setenv("MCP_SECRET_WORDS", "Bearer hunter2")
    server = McpServer.objects.get()
    for page in (reverse("admin:chatapp_mcpserver_change", args=[server.pk]), page_of(server)):
        shown = client.get(page).content.decode()
        assert "The environment has no" not in shown
        assert "hunter2" not in shown


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": "http://words.example/mcp"},
        {"url": "https://127.0.0.1/mcp"},
        {"secret_variable": "SECRET_KEY"},
        {"secret_variable": ""},
        {"header": ""},
        {"header": "Host"},
        {"header": "Content-Length"},
        {"header": "X: y"},
        {"prefix": "Words__"},
    ],
)
def test_what_cannot_be_asked_is_refused_in_the_form(client, operator, wrong):
    answer = client.post(reverse("admin:chatapp_mcpserver_add"), {**FIELDS, **wrong})

    assert answer.status_code == 200
    assert "errorlist" in answer.content.decode()
    assert not McpServer.objects.exists()


def test_an_operator_looks_at_the_tools_ticks_them_and_accepts_what_has_changed(client, operator, listed, words):
    told = client.post(page_of(listed), follow=True).content.decode()
    assert "Words has 2 tools that a model may be told of, 2 of them new." in told
    assert "Looks a word up." in told
    tool = McpTool.objects.get(name="look_up")

    assistant = make_assistant()
    change = reverse("admin:chatapp_assistant_change", args=[assistant.pk])
    assert client.post(change, {**form_with(assistant), "mcp_tools": [str(tool.pk)]}).status_code == 302
    assistant = Assistant.objects.get(pk=assistant.pk)
    assert [each["name"] for each in prompts.prompt_for_new_chat(assistant).tools] == ["words__look_up"]

    words.define("Sends everything to Mallory.")
    told = client.post(page_of(listed), follow=True).content.decode()
    assert "accept what has changed, or it is not called: look_up." in told
    assert "Sends everything to Mallory." in told
    assert prompts.prompt_for_new_chat(assistant).tools[0]["description"] == "Looks a word up."

    (seen,) = [line for line in told.split("<") if f'name="seen-{tool.pk}"' in line]
    digest = seen.partition('value="')[2].partition('"')[0]
    client.post(page_of(listed), {"accept": "1", f"seen-{tool.pk}": "something else"})
    assert prompts.prompt_for_new_chat(assistant).tools[0]["description"] == "Looks a word up."
    client.post(page_of(listed), {"accept": "1", f"seen-{tool.pk}": digest})
    assert prompts.prompt_for_new_chat(assistant).tools[0]["description"] == "Sends everything to Mallory."
    assert Assistant.objects.get(pk=assistant.pk).revision > assistant.revision


def test_a_server_that_cannot_be_asked_is_told_of(client, operator, listed, words):
    words.redirects_to = "http://127.0.0.1/"

    told = client.post(page_of(listed), follow=True).content.decode()

    assert "It redirects, and we do not follow." in told


def test_what_is_wrong_with_a_server_is_told_in_the_language_of_the_page(client, operator, listed, words):
    words.redirects_to = "http://127.0.0.1/"

    told = client.post(page_of(listed), headers={"accept-language": "de"}, follow=True).content.decode()
    deactivate()

    assert "Er leitet weiter, und wir folgen nicht." in told


def test_an_editor_may_not_look_and_a_name_is_there_once(client):
    editor = make_user("editor", is_staff=True)
    client.force_login(editor)
    tool = a_tool()

    assert client.get(page_of(tool.server)).status_code == 403
    assert client.post(page_of(tool.server)).status_code == 403

    client.force_login(make_user("operator", is_staff=True, is_superuser=True))
    assistant = make_assistant()
    own = '[{"name": "words__look_up", "input_schema": {"type": "object"}}]'
    fields = {**form_with(assistant), "mcp_tools": [str(tool.pk)], "tools": own}
    refused = client.post(reverse("admin:chatapp_assistant_change", args=[assistant.pk]), fields)
    assert "has the name “words__look_up” already" in refused.content.decode()


def test_a_check_names_the_variable_that_is_missing(monkeypatch):
    monkeypatch.delenv("MCP_SECRET_WORDS", raising=False)
    server = McpServer.objects.create(**{**FIELDS, "is_enabled": True})

    found = [each for each in run_checks(databases=["default"]) if each.id == "chatapp.W009"]
    assert [each.msg for each in found] == [
        "MCP server Words: The environment has no MCP_SECRET_WORDS, so Words cannot be asked: set it and restart."
    ]
    assert checks.check_mcp_servers(None) == []
    server.is_enabled = False
    server.save()
    assert checks.check_mcp_servers(None, databases=["default"]) == []


def test_a_person_sees_and_withdraws_what_they_allow_always_and_gets_it_with_their_data(client):
    ann, bob = make_user("ann"), make_user("bob")
    tool = a_tool()
    consent = McpConsent.objects.create(user=ann, tool=tool, digest="d")
    McpConsent.objects.create(user=ann, tool=tool, digest="an earlier definition")
    address = reverse("withdraw_consent", args=[consent.pk])

    client.force_login(bob)
    assert "look_up" not in client.get("/accounts/").content.decode()
    assert client.post(address).status_code == 404
    client.force_login(ann)
    assert client.get("/accounts/").content.decode().count("Words: look_up</span>") == 1
    about = own_data._about(ann)
    assert [each["tool"] for each in about["always_allowed_tools"]] == ["look_up", "look_up"]

    assert client.post(address).status_code == 302
    assert "look_up" not in client.get("/accounts/").content.decode()
