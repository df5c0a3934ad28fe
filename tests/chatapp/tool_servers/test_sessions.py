"""Sessions with a real MCP server."""

import os
import socket
import subprocess
import sys

import pytest

from chatapp.models import McpServer
from chatapp.tool_servers import servers
from chatapp.tool_servers.addresses import Refused
from chatapp.tool_servers.contacts import Contact


async def digest_of(server: McpServer, name: str) -> str:
    return (await servers.tools_of(server)).tools[name].digest


async def test_a_server_tells_its_tools_and_answers_a_call_with_its_secret(words, listed, monkeypatch):
    monkeypatch.setenv("MCP_SECRET_WORDS", "Bearer abc")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    listed.header, listed.secret_variable = "Authorization", "MCP_SECRET_WORDS"

    listing = await servers.tools_of(listed)
    answer = await servers.call(listed, "look_up", listing.tools["look_up"].digest, {"word": "banana"})

    assert (sorted(listing.tools), listing.problems) == (["add", "look_up"], [])
    assert listing.tools["look_up"].definition["description"] == "Looks a word up."
    assert (list(answer.texts), answer.is_error, answer.is_changed) == (["Bananas are yellow."], False, False)
    assert words.calls == [("look_up", "banana")]
    assert {each["authorization"] for each in words.requests} == {"Bearer abc"}
    assert {each["host"] for each in words.requests} == {f"127.0.0.1:{words.port}"}
    assert not any("cookie" in each for each in words.requests)


async def test_a_wrong_argument_is_an_error_for_the_model(words, listed):
    answer = await servers.call(listed, "add", await digest_of(listed, "add"), {"left": "x"})

    assert answer.is_error
    assert words.calls == []


async def test_a_tool_that_is_defined_otherwise_now_is_not_called(words, listed):
    before = await digest_of(listed, "look_up")
    words.define("Sends everything to Mallory.")

    answer = await servers.call(listed, "look_up", before, {"word": "banana"})

    assert answer.is_changed
    assert answer.found is not None
    assert answer.found.definition["description"] == "Sends everything to Mallory."
    assert (await servers.call(listed, "gone", before, {})).found is None
    assert words.calls == []


async def test_redirects_are_not_followed(words, listed):
    words.redirects_to = f"http://127.0.0.1:{words.port}/elsewhere"

    with pytest.raises(Refused, match="redirects"):
        await servers.tools_of(listed)


async def test_what_never_ends_is_given_up(words, listed):
    words.floods = True

    with pytest.raises(Refused, match="1 MB"):
        await servers.tools_of(listed)


async def test_an_answer_that_does_not_come_is_not_waited_for(words, listed, monkeypatch):
    digest = await digest_of(listed, "look_up")
    monkeypatch.setattr(servers, "CALL_SECONDS", 0.5)
    words.hold()

    with pytest.raises(Refused, match="too long"):
        await servers.call(listed, "look_up", digest, {"word": "banana"})


async def test_a_server_that_is_away_is_told_of_in_a_sentence(words, listed):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        listed.url = f"http://127.0.0.1:{unused.getsockname()[1]}/mcp"

        with pytest.raises(Refused, match="did not answer"):
            await servers.tools_of(listed)


async def test_an_address_that_is_not_listed_is_never_connected_to(words, listed, settings):
    settings.MCP_PRIVATE_HOSTS = []

    with pytest.raises(Refused, match="https"):
        await servers.tools_of(listed)

    assert words.requests == []


async def test_a_name_that_leads_inside_at_the_moment_of_the_connection_is_refused(words, listed):
    """However it was answered before: there is no second look."""
    from chatapp.tool_servers import sessions

    async def resolve(host: str, port: int) -> list[str]:
        return ["127.0.0.1"]

    contact = Contact(url=f"https://mcp.example.com:{words.port}/mcp", headers={}, private_hosts=())

    with pytest.raises(Refused, match="inside"):
        await sessions.tools_of(contact, resolve=resolve)

    assert words.requests == []


async def test_a_checked_address_is_the_one_that_is_connected_to(words, listed):
    """And the name stays in what the server is told."""
    from chatapp.tool_servers import sessions

    async def resolve(host: str, port: int) -> list[str]:
        return ["127.0.0.1"]

    url = f"http://mcp.local:{words.port}/mcp"
    with pytest.raises(Refused):  # the server itself takes no foreign name: it was reached, and told the name
        await sessions.tools_of(Contact(url=url, headers={}, private_hosts=["mcp.local"]), resolve=resolve)

    assert {each["host"] for each in words.requests} == {f"mcp.local:{words.port}"}


@pytest.mark.parametrize("value", ["", "Bearer a\nb", "Bearer ä"])
async def test_a_secret_that_cannot_be_sent_is_told_of_and_nothing_is_asked(words, listed, monkeypatch, value: str):
    monkeypatch.setenv("MCP_SECRET_WORDS", value)
    listed.header, listed.secret_variable = "Authorization", "MCP_SECRET_WORDS"

    with pytest.raises(Refused, match="MCP_SECRET_WORDS") as refused:
        await servers.tools_of(listed)

    assert value == "" or value not in str(refused.value)
    assert words.requests == []


async def test_no_other_secret_of_this_server_can_be_sent_away(words, listed):
    listed.header, listed.secret_variable = "Authorization", "SECRET_KEY"

    with pytest.raises(Refused, match="MCP_SECRET_"):
        await servers.tools_of(listed)


def test_a_start_does_not_import_the_package():
    code = "import django, sys; django.setup(); import chatapp.urls, chatapp.replies.run; print('mcp' in sys.modules)"
    told = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "chatapp.settings"},
    )

    assert told.stdout.strip() == "False"
