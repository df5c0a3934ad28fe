"""Who may do what: every URL, frame and action for a stranger, two people, staff with few rights and a superuser.

The tables in `docs/access.md` are what this test finds. To write them anew: `WRITE_ACCESS=1 pytest` on this file.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from datetime import timedelta
from pathlib import Path
from typing import Any, get_args
from uuid import uuid4

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, Permission
from django.db import transaction
from django.test import Client
from django.urls import URLResolver, get_resolver
from django.utils import timezone

from chatapp.accounts.roles import make_roles
from chatapp.models import Assistant, Attachment, Conversation, Message, QueuedMessage, SharedLink, Summary, User
from chatapp.pages import post_limits
from chatapp.protocol import frames
from chatapp.socket.origin import is_allowed_origin
from tests.chatapp.sockets import SocketClosedError, Tab, cookie_of
from tests.factories import make_assistant, make_conversation, make_message, make_user
from warmcache.background.database import in_database_thread
from warmcache.models import WarmPolicy

PAGE = Path(__file__).parents[2] / "docs" / "access.md"
ROLES = ("Operator", "Assistant editor", "Support")
PEOPLE = ("a stranger", "the owner", "another person", "staff who may view", *ROLES, "a superuser")
ASKERS = ("a stranger", "the owner", "another person", "staff who may view", "a superuser")
"""Who sends frames: roles are rights in the admin, as those of the staff are."""
MAY_VIEW = ("view_conversation", "view_warmpolicy", "view_user")
# Their answers depend on the state of the process, not on who asks.
PROBES = ("healthz", "readyz")


@pytest.fixture
def people(db) -> dict[str, User | None]:
    staff = make_user("staff", is_staff=True)
    staff.user_permissions.set(Permission.objects.filter(codename__in=MAY_VIEW))
    root = make_user("root", is_staff=True, is_superuser=True)
    make_roles()
    of_roles = [make_user(name.lower().replace(" ", "-"), is_staff=True) for name in ROLES]
    for name, person in zip(ROLES, of_roles, strict=True):
        person.groups.add(Group.objects.get(name=name))
    return dict(zip(PEOPLE, (None, make_user("owner"), make_user("other"), staff, *of_roles, root), strict=True))


def things_of(owner: User) -> dict[str, Any]:
    """A conversation of the owner with everything that a URL or a frame can name."""
    conversation = make_conversation(owner, Assistant.objects.first() or make_assistant(is_default=True))
    question = make_message(conversation, "Why?", sender=owner, client_message_id=uuid4())
    reply = make_message(conversation, "Because.", role="assistant", parent=question, epoch="e", owner="a")
    attachment = Attachment.objects.create(user=owner, name="a.txt", text="text", size_bytes=4)
    queued = QueuedMessage.objects.create(
        conversation=conversation, sender=owner, client_message_id=uuid4(), text="Later", is_held=True
    )
    summary = Summary.objects.create(conversation=conversation, through=reply, text="In short.")
    return {
        "summary": summary,
        "conversation": conversation,
        "question": question,
        "reply": reply,
        "attachment": attachment,
        "queued": queued,
        "link": SharedLink.objects.create(
            token_hash=uuid4().hex, conversation=conversation, tip=reply, expires_at=timezone.now() + timedelta(days=1)
        ),
    }


# Pages


def paths() -> Iterator[str]:
    def walk(resolver: URLResolver, prefix: str) -> Iterator[str]:
        for each in resolver.url_patterns:
            path = prefix + str(each.pattern)
            yield from walk(each, path) if isinstance(each, URLResolver) else [path]

    yield from (
        path for path in walk(get_resolver(), "") if path not in PROBES and not path.endswith("/<path:object_id>/")
    )


def named(path: str, things: Mapping[str, Any]) -> str:
    """The path with the owner's things in it."""
    model = re.match(r"admin/(\w+)/(\w+)/", path)
    ids = {
        "user": things["conversation"].user_id,
        "assistant": things["conversation"].assistant_id,
        "conversation": things["conversation"].pk,
        "message": things["question"].pk,
        "attachment": things["attachment"].pk,
        "summary": things["summary"].pk,
        "group": things["group"].pk,
        "warmpolicy": 1,
    }
    # Of what is not made here, the row that never is: what the pages warm is written down meanwhile or later.
    object_id = ids.get(model[2] if model else "", 0)
    values = {
        "uuid:conversation_id": things["conversation"].pk,
        "uuid:attachment_id": things["attachment"].pk,
        "int:link_id": things["link"].pk,
        "str:token": "unknown",
        "str:uidb64": "unknown",
        "path:content_type_id": 1,
    }
    filled = re.sub(r"<([^>]+)>", lambda match: str(values.get(match[1], object_id)), path)
    return "/" + re.sub(r"[\^$]|\(\?P.*", "", filled)


def browser_of(person: User | None, *, strict: bool = False) -> Client:
    client = Client(enforce_csrf_checks=strict)
    if person is not None:
        client.force_login(person)
    return client


def answer_to(client: Client, method: str, path: str) -> str:
    """Leaves nothing behind, neither in the database nor among the cookies: signing in anew for each of a thousand
    requests takes longer than the requests."""
    # Who asks for every page sends more forms than a person may.
    post_limits.of_persons.clear()
    post_limits.of_addresses.clear()
    cookies = deepcopy(client.cookies)
    with transaction.atomic():
        response = client.post(path, {"post": "yes", "title": "x"}) if method == "POST" else client.get(path)
        transaction.set_rollback(True)
    client.cookies = cookies
    location = response.headers.get("Location", "")
    return "sign in" if "/login/?next=" in location else str(response.status_code)


@pytest.mark.django_db(transaction=True)
@pytest.mark.any_database
def test_every_page_and_action(people, settings):
    settings.METRICS_TOKEN = ""
    owner = people["the owner"]
    assert owner is not None
    things = {**things_of(owner), "group": Group.objects.create(name="a group")}
    WarmPolicy.objects.create(pk=1)

    browsers = [browser_of(person) for person in people.values()]

    table: dict[tuple[str, str], list[str]] = {}
    for path in paths():
        for method in ("GET", "POST"):
            answers = [answer_to(browser, method, named(path, things)) for browser in browsers]
            table[f"/{path}".replace("path:", "").replace("str:", "").replace("uuid:", ""), method] = answers

    assert not [row for row in table.items() if any(answer.startswith("5") for answer in row[1])]
    check("pages", ("path", "", *PEOPLE), [(f"`{path}`", method, *row) for (path, method), row in table.items()])
    assert people_are_kept_apart(table)


def people_are_kept_apart(table: Mapping[tuple[str, str], Sequence[str]]) -> bool:
    own = [row for (path, _), row in table.items() if "_id>" in path and not path.startswith("/admin")]
    of_admin = [row for (path, _), row in table.items() if path.startswith("/admin") and "log" not in path]
    return (
        all(row[0] in ("sign in", "405") for row in own)
        and all(answer in ("404", "405") for row in own for answer in row[2:])
        and all(set(row[:3]) <= {"sign in", "302", "404"} for row in of_admin if "jsi18n" not in str(row))
    )


@pytest.mark.any_database
def test_no_post_is_taken_without_the_token_of_a_page(people):
    owner = people["the owner"]
    assert owner is not None
    things = {**things_of(owner), "group": Group.objects.create(name="a group")}

    browser = browser_of(people["a superuser"], strict=True)

    answers = {path: answer_to(browser, "POST", named(path, things)) for path in paths()}

    # A method that is not allowed, and pages that do not exist from here, change nothing either.
    assert {path: answer for path, answer in answers.items() if answer not in ("403", "404", "405")} == {}


@pytest.mark.any_database
def test_every_action_of_a_list(people):
    """What the menu above a list in the admin offers; a list without a menu does nothing at all."""
    rows = []
    for model, page in sorted(admin.site._registry.items(), key=lambda item: item[0]._meta.label):
        offered = set()
        for person in people.values():
            request = type("Request", (), {"user": person, "GET": {}})()
            names = page.get_actions(request) if person is not None and person.is_staff else {}
            offered |= {(name, person.get_username()) for name in names}
        for name in sorted({name for name, _ in offered}):
            who = [person.get_username() if person else "" for person in people.values()]
            rows.append((model._meta.label, f"`{name}`", *("yes" if (name, each) in offered else "-" for each in who)))

    check("actions", ("model", "action", *PEOPLE), rows)


# Frames


def fields_of(kind: str, things: Mapping[str, Any]) -> dict[str, Any]:
    conversation_id = things["conversation"].pk
    here = {"conversation_id": conversation_id}
    return {
        "conversation.open": here,
        "typing.started": {**here, "chars": 3, "attachment_ids": [things["attachment"].pk]},
        "typing.stopped": here,
        "message.send": {**here, "client_message_id": uuid4(), "text": "Hello"},
        "queue.withdraw": {"message_id": things["queued"].message_id},
        "queue.send": {"message_id": things["queued"].message_id},
        "branch.select": {**here, "message_id": things["question"].pk},
        "history.load": {**here, "before": things["reply"].pk},
        "conversations.load": {},
        "conversation.read": here,
        "search.ask": {"query": "Because"},
        "reply.stop": {"reply_id": things["reply"].pk},
        "reply.regenerate": {"reply_id": things["reply"].pk},
        "reply.seen": {"reply_id": things["reply"].pk, "seq": 1, "ttft_ms": 5},
        "ping": {},
    }[kind]


def kinds() -> list[str]:
    return [frame.__struct_config__.tag for frame in get_args(frames.AnyClientFrame)]


async def answer_to_frame(tab: Tab, kind: str, fields: Mapping[str, Any]) -> str:
    await tab.send(kind, **fields)
    errors = [frame["code"] for frame in await tab.read_all() if frame["type"] == "error"]
    return errors[0] if errors else "taken"


@pytest.mark.django_db(transaction=True)
@pytest.mark.any_database
async def test_every_frame(open_tab, simulator):
    def begin() -> tuple[User, list[User]]:
        owner = make_user("owner")
        make_assistant(is_default=True)
        return owner, [
            owner,
            make_user("other"),
            make_user("staff", is_staff=True),
            make_user("root", is_staff=True, is_superuser=True),
        ]

    owner, users = await in_database_thread(begin)
    tabs = [(user, await open_tab(user)) for user in users]
    rows = []
    for kind in kinds():
        answers = ["4401"]
        for user, tab in reversed(tabs):
            things = await in_database_thread(things_of, owner)
            answers.insert(1, await answer_to_frame(tab, kind, fields_of(kind, things)))
            if user != owner:
                assert await in_database_thread(is_untouched, things)
        rows.append((f"`{kind}`", *answers))
    stranger = Tab(cookie_of("nothing"))
    with pytest.raises(SocketClosedError) as refused:
        await stranger.connect()
    await stranger.disconnect(refused.value.code)

    assert refused.value.code == 4401
    check("frames", ("frame", *ASKERS), rows)
    assert all(row[2] == "taken" for row in rows)


def is_untouched(things: Mapping[str, Any]) -> bool:
    conversation = Conversation.objects.get(pk=things["conversation"].pk)
    queued = QueuedMessage.objects.get(pk=things["queued"].pk)
    reply = Message.objects.get(pk=things["reply"].pk)
    return (
        (conversation.messages.count(), conversation.branch_id, conversation.version)
        == (2, None, things["conversation"].version + 2)
        and (queued.is_held, queued.withdrawn_at) == (True, None)
        and (reply.browser_ttft_ms, reply.stop_requested_at) == (None, None)
    )


# Origins

ORIGINS = (
    ("the site's own, by http", "http://{host}"),
    ("the site's own, by https", "https://{host}"),
    ("another port", "https://{host}:8444"),
    ("missing", ""),
    ("`null`", "null"),
    ("another site", "https://evil.example"),
    ("a name that ends the same", "https://evil-{host}"),
    ("a subdomain", "https://evil.{host}"),
    ("our name as a prefix", "https://{host}.evil.example"),
    ("our name as the user", "https://{host}@evil.example"),
    ("a path behind our name", "https://{host}/"),
    ("an extension", "chrome-extension://abcdef"),
)


def test_the_twelve_origins(settings):
    settings.ALLOWED_HOSTS, settings.CSRF_TRUSTED_ORIGINS = ["chat.example"], []

    def verdicts(*, is_https: bool) -> list[str]:
        settings.HTTPS = is_https
        settings.CSRF_TRUSTED_ORIGINS = ["https://chat.example"] if is_https else []
        found = [origin.format(host="chat.example") for _, origin in ORIGINS]
        return ["socket" if is_allowed_origin(origin, host="chat.example", scheme="ws") else "403" for origin in found]

    on_http, on_https = verdicts(is_https=False), verdicts(is_https=True)

    assert (on_http.count("socket"), on_https.count("socket")) == (1, 1)
    rows = [(words, a, b) for (words, _), a, b in zip(ORIGINS, on_http, on_https, strict=True)]
    check("origins", ("origin", "site by http", "site by https, TLS ends at a proxy"), rows)


# The page


def check(name: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Holds a table of the page to what was found, or writes it."""
    lines = [f"| {' | '.join(line)} |" for line in (head, ["---"] * len(head), *rows)]
    begin, end = f"<!-- {name}: written by tests/chatapp/test_access_matrix.py -->\n", f"<!-- end of {name} -->"
    before, _, rest = PAGE.read_text().partition(begin)
    written, _, after = rest.partition(end)
    found = "\n" + "\n".join(lines) + "\n\n"
    if os.environ.get("WRITE_ACCESS"):
        PAGE.write_text(before + begin + found + end + after)
    else:
        assert written == found
