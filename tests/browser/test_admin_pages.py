"""The operator's pages work under their own content security policy, and say who answers."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.servers.chat_server import ChatServer


@pytest.mark.parametrize(
    ("path", "heading"),
    [
        ("", "Administration"),
        ("chatapp/assistant/", "Select assistant to change"),
        ("chatapp/conversation/", "Select conversation to view"),
    ],
)
def test_an_admin_page_opens_without_a_complaint(open_admin: Callable[[str], Page], path: str, heading: str) -> None:
    page = open_admin(path)

    expect(page.locator("#content h1")).to_have_text(heading)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_of_the_admin_makes_the_browser_complain(
    open_admin: Callable[[str], Page], server: ChatServer, scheme: str
) -> None:
    page = open_admin("")
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    links = page.locator("#content-main .module a").evaluate_all("links => links.map(link => link.pathname)")
    assistant = f"/admin/chatapp/assistant/{server.assistants['python-reference']}/change/"
    assert "/admin/chatapp/assistant/add/" in links

    for path in [*links, assistant, "/admin/password_change/"]:
        response = page.goto(server.url + path)
        assert response is not None
        assert response.ok, path


def test_the_admin_asks_for_a_password_without_a_complaint(server: ChatServer, open_page: Callable[..., Any]) -> None:
    page: Page = open_page(f"{server.url}/admin/")
    expect(page).to_have_title("Log in | Warmcache")
    expect(page.get_by_test_id("upstream-notice")).to_be_visible()

    page.get_by_label("Username").fill("root")
    page.get_by_label("Password").fill(server.users["root"].password)
    page.get_by_role("button", name=re.compile("(Sign|Log) in")).click()

    expect(page.locator("#content h1")).to_have_text("Administration")


def test_a_document_can_be_added_to_an_assistant(
    open_admin: Callable[[str], Page], server: ChatServer, cold_assistant: int
) -> None:
    page = open_admin(f"chatapp/assistant/{cold_assistant}/change/")

    page.locator("#documents-heading").click()
    page.get_by_role("button", name="Add another Document").click()
    page.locator("[name=documents-0-title]").fill("Tides")
    page.locator("[name=documents-0-text]").fill("High water at noon.")
    page.get_by_role("button", name="Save and continue editing").click()

    expect(page.locator(".success")).to_contain_text("was changed successfully")
    documents = server.query("SELECT title, text FROM chatapp_document WHERE assistant_id = ?", cold_assistant)
    assert documents == [("Tides", "High water at noon.")]
