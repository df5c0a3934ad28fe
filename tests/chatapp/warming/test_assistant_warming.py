"""What the operator can do about an assistant's shared layer: see what holding it would cost, and warm it by hand."""

import asyncio
import json
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.core.management import call_command
from django.urls import reverse

from chatapp.models import Assistant, User
from tests.factories import make_assistant, make_user
from tests.servers import PATIENCE_SECONDS
from tests.servers.chat_server import ChatServer
from tests.servers.tabs import open_tab
from warmcache import sync
from warmcache.conf import Config
from warmcache.core.errors import UpstreamRefused
from warmcache.models import WarmPolicy, WarmUp
from warmcache.runtime.wiring import build_runtime, install_runtime
from warmcache.testing import FakeClock, FakeProvider

LONG_DOCUMENT = "".join(f"Paragraph {n} tells how the cache of prompts is kept warm, and why.\n\n" for n in range(400))


@pytest.fixture
def provider(transactional_db: None) -> Iterator[FakeProvider]:
    """The upstream of this process's synchronous code, whose loop ends with the test."""
    provider = FakeProvider(clock=FakeClock())

    async def install() -> None:
        config = Config(upstream="simulator", base_url="http://fake", secret="test", learns=False)
        install_runtime(build_runtime(config, provider=provider, clock=provider._clock))

    sync.close()
    sync.run(install)
    yield provider
    sync.close()


@pytest.fixture
def assistant(transactional_db: None) -> Assistant:
    return make_assistant(name="Guide", slug="guide", documents=(LONG_DOCUMENT,))


@pytest.fixture
def operator(client, transactional_db: None) -> User:
    user = make_user("operator", is_staff=True, is_superuser=True)
    client.force_login(user)
    return user


def press_warm_now(client: Any, *assistants: Assistant) -> list[str]:
    """The messages that the next page shows."""
    form = {"action": "warm_now", "_selected_action": [each.pk for each in assistants]}
    page = client.post(reverse("admin:chatapp_assistant_changelist"), form, follow=True)
    return [str(message) for message in page.context["messages"]]


def test_an_assistant_is_warmed_by_hand_and_the_page_says_so(client, operator, assistant, provider):
    told = press_warm_now(client, assistant)
    told_again = press_warm_now(client, assistant)
    sync.flush()

    assert re.fullmatch(r"Guide is warm: about [\d,]+ tokens\. Until about \d\d:\d\d:\d\d\.", told[0])
    assert told_again[0].startswith("Guide was warm already: about ")
    assert provider.warm_up_count == 1
    row = WarmUp.objects.get()
    assert (row.intent, row.label, row.subject) == ("manual", "guide", f"user {operator.pk}")


def test_what_is_not_warmed_is_told_in_words(client, operator, assistant, provider):
    short = make_assistant(name="Small talk")
    WarmPolicy.objects.create(max_cost_per_warm_up_usd="0.0001")
    sync.run(_reread_policy)

    told = press_warm_now(client, assistant, short)

    assert sorted(told) == [
        "Guide was not warmed: it would cost more than the operator allows.",
        "Small talk was not warmed: it is too short to be cached.",
    ]
    assert provider.sent == []


async def _reread_policy() -> None:
    from warmcache.runtime.wiring import get_runtime

    await get_runtime().policy.refresh()


def test_a_warm_up_that_fails_is_told_too(client, operator, assistant, provider):
    provider.fail(UpstreamRefused("key_refused", "No."))

    assert press_warm_now(client, assistant) == ["Guide could not be warmed: the API refuses the key."]


def test_whoever_may_only_look_cannot_warm(client, assistant, provider):
    looker = make_user("looker", is_staff=True)
    looker.user_permissions.add(Permission.objects.get(codename="view_assistant"))
    client.force_login(looker)

    told = press_warm_now(client, assistant)

    assert provider.sent == []
    assert not any("warm" in words for words in told)


def test_an_assistant_s_page_tells_what_holding_it_would_cost(client, operator, assistant):
    page = client.get(reverse("admin:chatapp_assistant_change", args=[assistant.pk])).content.decode()

    told = dict(re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", page))
    assert told["requests"] == "about 0 an hour, told from the ledger"
    assert re.fullmatch(r"\$\d+\.\d\d a month", told["holding it"])
    assert told["held now"] == "no: keeping shared layers warm is off in the warm policy"
    assert told["warm-ups of the keeper"] == "none"


def test_a_new_assistant_has_nothing_to_tell_yet(client, operator):
    page = client.get(reverse("admin:chatapp_assistant_add"))

    assert page.status_code == 200


def test_the_command_tells_the_same_of_every_assistant(assistant, settings):
    make_assistant(name="Small talk", slug="small-talk")
    out = StringIO()

    call_command("warmcache_keep", "--status", stdout=out, no_color=True)

    lines = out.getvalue().splitlines()
    assert {"guide", "small-talk"} <= set(lines)
    assert "  forecast: none: it is too short to be cached" in lines
    assert lines[-1] == "Without REDIS_URL only the server itself knows what it holds."


def test_the_page_shows_the_exact_prefix_and_what_it_costs(client, operator, assistant, provider):
    address = reverse("admin:chatapp_assistant_prefix", args=[assistant.pk])

    page = client.get(address)
    raw = client.get(address, {"raw": ""})
    warmed = client.post(address, follow=True)

    report = page.context["report"]
    assert page.status_code == 200
    assert report.tokens > report.min_tokens
    assert "estimated: the provider has not counted it" in page.content.decode()
    assert report.cost_usd > report.saved_usd > 0
    sent = json.loads(raw.content)
    (request,) = [each for each in provider.sent if each.kind == "warm_up"]
    assert {name: value for name, value in request.request.body.items() if name != "max_tokens"} == sent
    assert "is warm" in str(next(iter(warmed.context["messages"])))


def test_who_may_only_view_sees_the_prefix_and_warms_nothing(client, assistant, provider):
    viewer = make_user("viewer", is_staff=True)
    viewer.user_permissions.set(Permission.objects.filter(codename="view_assistant"))
    client.force_login(viewer)
    address = reverse("admin:chatapp_assistant_prefix", args=[assistant.pk])

    page, refused = client.get(address), client.post(address)

    assert (page.status_code, refused.status_code) == (200, 403)
    assert "Warm now" not in page.content.decode()
    assert not provider.sent


def press_warm_now_over_http(server: ChatServer, slug: str) -> str:
    """The page that follows."""
    url = f"{server.url}/admin/chatapp/assistant/"
    cookie = server.users["root"].cookie
    with urllib.request.urlopen(
        urllib.request.Request(url, headers={"Cookie": cookie}), timeout=PATIENCE_SECONDS
    ) as page:
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.read().decode())
        csrf_cookie = page.headers["set-cookie"].split(";")[0]
    assert token is not None
    form = {"csrfmiddlewaretoken": token[1], "action": "warm_now", "_selected_action": server.assistants[slug]}
    headers = {"Cookie": f"{cookie}; {csrf_cookie}", "Origin": server.url, "Referer": url}
    data = urllib.parse.urlencode(form).encode()
    cookies = [cookie, *cookies_of_redirect(urllib.request.Request(url, data, headers))]
    with urllib.request.urlopen(
        urllib.request.Request(url, headers={"Cookie": "; ".join(cookies)}), timeout=PATIENCE_SECONDS
    ) as page:
        return str(page.read().decode())


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any) -> None:
        return None


def cookies_of_redirect(request: urllib.request.Request) -> list[str]:
    """One of them carries the message to the next page."""
    with pytest.raises(urllib.error.HTTPError) as answer:
        urllib.request.build_opener(NoRedirect).open(request, timeout=PATIENCE_SECONDS)
    with answer.value as redirect:
        assert redirect.code == 302
        return [line.split(";")[0] for line in redirect.headers.get_all("set-cookie", [])]


async def first_warmth(server: ChatServer, slug: str) -> dict[str, Any]:
    async with open_tab(server, assistant=slug) as tab:
        await tab.send("typing.started", chars=1)
        return await tab.until("warmth")


@pytest.mark.any_database
async def test_on_the_real_server_it_happens_where_sockets_hear_of_it(live_server_process: ChatServer):
    server = live_server_process

    page = await asyncio.to_thread(press_warm_now_over_http, server, "warmcache-guide")
    async with asyncio.timeout(PATIENCE_SECONDS):
        warmth = await first_warmth(server, "warmcache-guide")

    assert "is warm: about" in page or "was warm already: about" in page
    assert warmth["state"] == "warm"
    assert [call["is_warm_up"] for call in server.simulator.requests() if call["path"] == "/v1/messages"] == [True]
