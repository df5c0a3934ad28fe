"""The pages of accounts: they break no rule and fit a phone in both schemes, and their policy lets sign-in by another
service through."""

from collections.abc import Callable
from typing import Any

from playwright.sync_api import Page, expect

from tests.browser import axe
from tests.servers.chat_server import ChatServer
from tests.servers.oidc_provider import OidcProvider

OF_STRANGERS = ("login/", "register/", "forgotten/MQ/unknown/")
OF_PEOPLE = ("", "password/", "second-factor/", "sessions/", "delete/")
"""One for each template."""
PHONE = {"width": 360, "height": 740}
TOO_WIDE = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"


def test_account_pages_break_no_rule_and_fit_a_phone(server: ChatServer, open_page: Callable[..., Any]) -> None:
    stranger: Page = open_page(server.url + "/accounts/login/")
    person: Page = open_page(server.url + "/accounts/", user=server.users["ann"])

    found = {}
    for page, paths in ((stranger, OF_STRANGERS), (person, OF_PEOPLE)):
        page.set_viewport_size(PHONE)  # type: ignore[arg-type]
        for path in paths:
            page.goto(f"{server.url}/accounts/{path}")
            for scheme in ("light", "dark"):
                page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
                found[path, scheme] = (axe.violations(page), page.evaluate(TOO_WIDE))

    assert found == dict.fromkeys(found, ([], 0))


def test_the_button_of_another_service_leads_there_and_back(
    server: ChatServer, open_page: Callable[..., Any], provider: OidcProvider, forgive: Callable[[str], None]
) -> None:
    # What the provider's own page asks for, and does not get.
    forgive("Failed to load resource")
    provider.knows("sub-carl", preferred_username="carl")
    page: Page = open_page(server.url + "/accounts/login/?next=/accounts/")

    page.get_by_role("link", name="Sign in with Example Id").click()
    page.get_by_placeholder("sub").fill("sub-carl")
    page.get_by_role("button", name="Authorize").click()

    expect(page.get_by_role("heading", name="Your account")).to_be_visible()
    expect(page.locator(".sheet")).to_contain_text("Signed in as carl")
