"""Pages speak the language of the person or of the browser."""

import re
import threading
from collections.abc import Iterator
from html.parser import HTMLParser

import pytest
from django.core import mail
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import deactivate

from chatapp.models import McpConsent, McpServer, McpTool, User
from tests.catalogues import FILES, ROOT, entries_of
from tests.factories import make_assistant, make_conversation, make_talk, make_user

GERMAN = {"accept-language": "de-AT,de;q=0.9,en;q=0.5"}
PHYSICAL = re.compile(
    r"(margin|padding|border)-(left|right)|text-align: (left|right)|^\s*(left|right):|float: (left|right)|"
    r"border-(top|bottom)-(left|right)-radius",
    re.MULTILINE,
)


@pytest.fixture(autouse=True)
def english_again() -> Iterator[None]:
    """The test client runs in this thread, which goes on in the language of its last page."""
    yield
    deactivate()


@pytest.fixture
def root(client: Client) -> User:
    user = make_user("root", is_staff=True, is_superuser=True)
    client.force_login(user)
    return user


class Words(HTMLParser):
    """What a person reads or hears of a page, piece by piece; not what somebody has written or named."""

    SILENT = ("script", "style", "code", "pre", "kbd")
    HEARD = ("aria-label", "title", "placeholder", "alt")

    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[str] = []
        self._silent = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._silent += tag in self.SILENT
        self.pieces += [value for name, value in attrs if name in self.HEARD and value]

    def handle_endtag(self, tag: str) -> None:
        self._silent -= tag in self.SILENT

    def handle_data(self, data: str) -> None:
        if not self._silent and data.strip():
            self.pieces.append(" ".join(data.split()))


def words_of(html: str) -> list[str]:
    parser = Words()
    parser.feed(html)
    return parser.pieces


def english() -> Iterator[str]:
    """The sentences that German has other words for; single words may be names, or the same in German."""
    for path in FILES:
        for entry in entries_of(path):
            if entry.english not in entry.forms and " " in entry.english and "%" not in entry.english:
                yield entry.english


def listed_server_of(user: User) -> McpServer:
    """With one tool, which the person always allows, and one that has changed."""
    server = McpServer.objects.create(name="Worte", prefix="worte", url="https://worte.example/mcp")
    definition = {"input_schema": {"type": "object"}}
    for name, changed_at in (("nachschlagen", None), ("suchen", timezone.now())):
        tool = McpTool.objects.create(
            server=server,
            name=name,
            sent_name=f"worte__{name}",
            definition=definition,
            digest="d",
            changed_at=changed_at,
        )
    McpConsent.objects.create(user=user, tool=tool, digest=tool.digest)
    return server


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("headers", "language"),
    [({}, "en"), ({"accept-language": "fr"}, "en"), (GERMAN, "de"), ({"accept-language": "en,de;q=0.5"}, "en")],
)
def test_a_page_is_in_the_language_that_the_browser_asks_for(client: Client, headers, language: str) -> None:
    answer = client.get("/accounts/login/", headers=headers)

    assert answer.headers["Content-Language"] == language
    assert "Accept-Language" in answer.headers["Vary"]
    assert f'<html lang="{language}" dir="ltr">' in answer.content.decode()
    assert ("Anmelden" in answer.content.decode()) == (language == "de")


@pytest.mark.django_db
def test_what_a_person_has_chosen_goes_before_what_the_browser_asks_for(client: Client, root) -> None:
    account = client.get(reverse("account"), headers=GERMAN).content.decode()
    assert '<option value="de" lang="de" selected>Deutsch</option>' in account

    chosen = client.post(reverse("set_language"), {"language": "en", "next": reverse("account")}, headers=GERMAN)

    assert chosen.headers["Location"] == reverse("account")
    assert client.cookies["language"]["max-age"] > 0
    assert "<h2" in (page := client.get(reverse("account"), headers=GERMAN).content.decode())
    assert "Your account" in page


@pytest.mark.django_db
def test_a_choice_leads_to_no_other_site(client: Client) -> None:
    answer = client.post(reverse("set_language"), {"language": "de", "next": "https://elsewhere.invalid/"})

    assert answer.headers["Location"] == "/"


@pytest.mark.django_db
def test_only_a_page_in_another_language_loads_words(client: Client, root) -> None:
    make_assistant()

    pages = [client.get("/", headers=headers).content.decode() for headers in ({}, GERMAN)]

    assert ["words/de" in page for page in pages] == [False, True]
    assert pages[1].index("importmap") < pages[1].index("words/de") < pages[1].index("js/main")


@pytest.mark.django_db
def test_a_language_from_right_to_left_turns_the_page_round(client: Client, settings) -> None:
    settings.LANGUAGES = [("en", "English"), ("ar", "العربية")]

    page = client.get("/accounts/login/", headers={"accept-language": "ar"}).content.decode()

    assert '<html lang="ar" dir="rtl">' in page


def test_styles_know_no_left_and_no_right() -> None:
    sheets = [*(ROOT / "static/css").glob("*.css"), *(ROOT / "warmcache/static/warmcache").glob("*.css")]

    assert {path.name: found[0] for path in sheets if (found := PHYSICAL.search(path.read_text()))} == {}


@pytest.mark.django_db(transaction=True)
def test_no_page_in_german_says_a_sentence_in_english(client: Client, root, settings) -> None:
    settings.OPEN_REGISTRATION, settings.SENDS_MAIL = True, True
    known = set(english())
    assert known.intersection(words_of(Client().get(reverse("login")).content.decode()))
    assistant = make_assistant(documents=("Ahoi.",))
    conversation = make_conversation(root, assistant, title="Schiffe")
    make_talk(conversation, ["Wohin?", "Ans Meer."])
    server = listed_server_of(root)
    anonymous = Client(headers=GERMAN)
    of_nobody = ["login", "register", "password_reset", "password_reset_done"]
    of_person = [
        *("home", "account", "change_email", "change_instructions", "change_password", "second_factor", "sessions"),
        *("delete_account", "admin:index", "admin:warmcache_dashboard_changelist", "admin:warmcache_numbers"),
        *("admin:warmcache_learnedevidence_changelist", "admin:warmcache_warmpolicy_add"),
        *("admin:warmcache_warmup_changelist", "admin:chatapp_assistant_add", "admin:chatapp_usagelimit_add"),
        *("admin:chatapp_conversation_changelist", "admin:chatapp_invitation_add"),
        *("admin:chatapp_mcpserver_changelist", "admin:chatapp_mcpserver_add", "admin:chatapp_sharedlink_changelist"),
    ]
    found = {name: anonymous.get(reverse(name)) for name in of_nobody}
    found |= {name: client.get(reverse(name), headers=GERMAN) for name in of_person}
    of_one = {"assistant_change": assistant, "assistant_prefix": assistant, "mcpserver_tools": server}
    for name, row in of_one.items():
        found[name] = client.get(reverse(f"admin:chatapp_{name}", args=[row.pk]), headers=GERMAN)
    found["conversation"] = client.get(f"/c/{conversation.pk}/", headers=GERMAN)
    assert {name: answer.status_code for name, answer in found.items() if answer.status_code != 200} == {}
    found["nothing"] = client.get("/nothing/", headers=GERMAN)

    left = {name: known.intersection(words_of(answer.content.decode())) for name, answer in found.items()}

    assert {name: told for name, told in left.items() if told} == {}


@pytest.mark.django_db
def test_a_mail_is_in_the_language_of_the_page_that_asked_for_it(client: Client, settings) -> None:
    settings.SENDS_MAIL = True
    make_user("ann", email="ann@example.org")

    client.post(reverse("password_reset"), {"email": "ann@example.org"}, headers=GERMAN)
    for thread in [each for each in threading.enumerate() if each.name == "mail"]:
        thread.join()

    (sent,) = mail.outbox
    assert sent.subject == "Ein neues Passwort für testserver"
    assert "ein neues Passwort für ann" in sent.body
