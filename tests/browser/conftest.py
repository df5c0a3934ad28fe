"""One real server for the whole folder. Each test has its own people and assistants, so that cold is cold."""

import json
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.chat_page import ChatPage
from tests.browser.held_replies import HoldReply, hold_reply
from tests.browsers import TIMEOUT_MS, Chromium, Contexts
from tests.servers import patient_settings
from tests.servers.chat_server import ChatServer, LiveUser, SimulatorControl
from tests.servers.fork_server import output_of
from tests.servers.mcp_server import ToolServer
from tests.servers.oidc_provider import OidcProvider
from tests.servers.releases import collected_once

PEOPLE = 120
ASSISTANTS = 12
PROVIDER = OidcProvider()
WORDS = ToolServer()
"""They run only in the test that needs them."""
ACCOUNTS = {
    "OPEN_REGISTRATION": "1",
    "EMAIL_HOST": "mail.invalid",
    "OIDC_ISSUER": PROVIDER.issuer,
    "OIDC_CLIENT_ID": "chat",
    "OIDC_CLIENT_SECRET": "secret",
    "OIDC_NAME": "Example Id",
}
"""All that the pages of accounts can offer."""
TOOLS = {"MCP_PRIVATE_HOSTS": "127.0.0.1", "WORDS_URL": WORDS.url}

expect.set_options(timeout=TIMEOUT_MS)


@pytest.fixture(scope="package")
def _server(new_database: Callable[[], str]) -> Iterator[ChatServer]:
    """A server as an operator runs it: with collected files under hashed names, which a browser fetches once."""
    environment = {
        **{**collected_once(), **ACCOUNTS, **TOOLS},
        "DJANGO_SETTINGS_MODULE": patient_settings.__name__,
    }
    with ChatServer(database_url=new_database(), users=("ann", "root"), environment=environment) as server:
        yield server


@pytest.fixture(scope="package")
def _population(_server: ChatServer) -> dict[str, Any]:
    program = ["-m", "tests.browser.population", str(PEOPLE), str(ASSISTANTS)]
    made = json.loads(output_of(program, environment=_server.environment()))
    return {
        "people": iter([LiveUser(**fields) for fields in made["people"]]),
        "assistants": iter(made["assistants"]),
        "of_models": made["of_models"],
        "of_tools": made["of_tools"],
    }


@pytest.fixture
def server(_server: ChatServer) -> Iterator[ChatServer]:
    """The server; nothing is left of what another test scripted for its simulator."""
    if _server.process is None:
        # A failed test may have left it dead.
        _server.start()
    # Its journal begins with what the start of the server asked.
    _server.simulator.reset()
    yield _server
    _server.simulator.release()


@pytest.fixture
def provider() -> Iterator[OidcProvider]:
    with PROVIDER:
        yield PROVIDER


@pytest.fixture
def words() -> Iterator[ToolServer]:
    with WORDS:
        yield WORDS


@pytest.fixture
def simulator(server: ChatServer) -> SimulatorControl:
    return server.simulator


@pytest.fixture
def new_person(_population: dict[str, Any]) -> Callable[[], LiveUser]:
    people: Iterator[LiveUser] = _population["people"]
    return lambda: next(people)


@pytest.fixture
def person(new_person: Callable[[], LiveUser]) -> LiveUser:
    """A new user."""
    return new_person()


@pytest.fixture
def cold_assistant(_population: dict[str, Any]) -> int:
    """The id of an assistant whose prompt nobody has sent yet, and which is worth caching."""
    assistant: int = next(_population["assistants"])
    return assistant


@pytest.fixture
def assistants_of_other_models(_population: dict[str, Any]) -> dict[str, int]:
    """Model -> the id of a cold assistant: for one test."""
    of_models: dict[str, int] = _population["of_models"]
    return of_models


@pytest.fixture
def assistants_with_tools(_population: dict[str, Any]) -> dict[str, int]:
    """`own` and `structured` -> the id of an assistant with the chat's tools, the second with a schema;
    `of_another_server` -> of one with a tool of the MCP server `words`."""
    of_tools: dict[str, int] = _population["of_tools"]
    return of_tools


@pytest.fixture
def small_talk(server: ChatServer) -> int:
    """The id of the demo's assistant whose prompt is too small to be cached."""
    return server.assistants["small-talk"]


@pytest.fixture(scope="package")
def _lasting_context(chromium: Chromium) -> Iterator[BrowserContext]:
    """The first page of each test comes from this context, emptied of everything but fetched files."""
    context = chromium.browser.new_context()
    context.set_default_timeout(TIMEOUT_MS)
    yield context
    context.close()


@pytest.fixture
def contexts(chromium: Chromium) -> Iterator[Contexts]:
    with chromium.contexts() as contexts:
        yield contexts
        contexts.require_quiet_consoles()


@pytest.fixture
def open_page(contexts: Contexts, _lasting_context: BrowserContext) -> Iterator[Callable[..., Any]]:
    """The usual fixture, but the first page without options of its own already has its scripts and styles."""

    def open_it(url: str, *, user: LiveUser | None = None, **options: Any) -> Page:
        if options or _lasting_context.pages:
            return contexts.open_page(url, user=user, **options)
        if user is not None:
            host = urlsplit(url).hostname
            _lasting_context.add_cookies(
                [{"name": "sessionid", "value": user.session_key, "domain": host, "path": "/"}]
            )
        page = _lasting_context.new_page()
        contexts.watch(page)
        page.goto(url)
        return page

    yield open_it
    _empty(_lasting_context)


def _empty(context: BrowserContext) -> None:
    for page in context.pages:
        page.goto("about:blank")
        storage = {"origin": "*", "storageTypes": "local_storage"}
        context.new_cdp_session(page).send("Storage.clearDataForOrigin", storage)
        page.close()
    context.clear_cookies()
    context.clear_permissions()


@pytest.fixture
def forgive(contexts: Contexts) -> Callable[[str], None]:
    """Allows console errors that match a pattern: those that the test itself causes."""
    return contexts.forgive


@pytest.fixture
def second_tab(contexts: Contexts) -> Callable[[ChatPage], ChatPage]:
    """Opens a second tab of the same person in the same browser, at the first tab's address."""

    def open_it(chat: ChatPage) -> ChatPage:
        page = chat.page.context.new_page()
        contexts.watch(page)
        page.goto(chat.page.url)
        second = ChatPage(page)
        second.wait_until_ready()
        return second

    return open_it


@pytest.fixture
def open_chat(server: ChatServer, small_talk: int, open_page: Callable[..., Any]) -> Callable[..., ChatPage]:
    """Opens the chat as a person, with `small_talk` unless another assistant is named (None leaves the choice)."""

    def open_it(user: LiveUser, *, path: str = "/", assistant: int | None = small_talk, **options: Any) -> ChatPage:
        chat = ChatPage(open_page(server.url + path, user=user, **options))
        chat.wait_until_ready()
        if assistant is not None and path == "/":
            chat.choose(assistant)
        return chat

    return open_it


@pytest.fixture
def chat(open_chat: Callable[..., ChatPage], person: LiveUser) -> ChatPage:
    """A new chat with the small assistant, opened by a new user."""
    return open_chat(person)


@pytest.fixture
def open_admin(server: ChatServer, open_page: Callable[..., Any]) -> Callable[[str], Page]:
    """Opens a page of the admin as an operator."""

    def open_it(path: str) -> Page:
        page: Page = open_page(f"{server.url}/admin/{path}", user=server.users["root"])
        return page

    return open_it


@pytest.fixture
def held_reply(simulator: SimulatorControl) -> HoldReply:
    """`with held_reply(text): ...`: the next reply shows its first words, and the rest comes after the block."""
    return lambda text: hold_reply(simulator, text)
