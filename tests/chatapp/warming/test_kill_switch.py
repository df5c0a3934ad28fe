"""Two real servers on one database, without Redis: what an operator switches off on one is off on the other."""

import asyncio
import re
import urllib.parse
import urllib.request
from collections.abc import Callable
from typing import Any

from tests.servers import PATIENCE_SECONDS
from tests.servers.chat_server import ChatServer
from tests.servers.tabs import open_tab

BETWEEN_LOOKS_SECONDS = 0.1


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any) -> None:
        return None


def switch_off_in_the_admin(server: ChatServer) -> None:
    url = f"{server.url}/admin/warmcache/warmpolicy/add/"
    cookie = server.users["root"].cookie
    with urllib.request.urlopen(
        urllib.request.Request(url, headers={"Cookie": cookie}), timeout=PATIENCE_SECONDS
    ) as page:
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.read().decode())
        csrf_cookie = page.headers["set-cookie"].split(";")[0]
    assert token is not None
    request = urllib.request.Request(
        url,
        urllib.parse.urlencode({"csrfmiddlewaretoken": token[1]}).encode(),
        {"Cookie": f"{cookie}; {csrf_cookie}", "Origin": server.url, "Referer": url},
    )
    try:
        urllib.request.build_opener(NoRedirect).open(request, timeout=PATIENCE_SECONDS)
    except urllib.error.HTTPError as answer:
        assert answer.code == 302


async def warmth_after_a_key(server: ChatServer) -> tuple[str, str | None]:
    """How the warmth of a new chat ends up after one typing frame on a fresh socket."""
    async with open_tab(server) as tab:
        await tab.send("typing.started", chars=1)
        while True:
            told = await tab.until("warmth")
            if told["state"] not in ("cold", "warming"):
                return told["state"], told["reason"]


async def test_the_switch_works_in_every_process_without_a_restart(start_chat_server: Callable[..., ChatServer]):
    first = start_chat_server()
    second = start_chat_server(beside=first)
    async with asyncio.timeout(PATIENCE_SECONDS):
        assert (await warmth_after_a_key(second))[0] == "warm"

    await asyncio.to_thread(switch_off_in_the_admin, first)
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await warmth_after_a_key(second) != ("skipped", "warming_off"):  # noqa: ASYNC110
            await asyncio.sleep(BETWEEN_LOOKS_SECONDS)
        assert await warmth_after_a_key(first) == ("skipped", "warming_off")
