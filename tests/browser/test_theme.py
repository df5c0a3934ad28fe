"""Light and dark as a person chooses them, and the chat installed as an app."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, expect

from tests.browsers import FLAGS, TIMEOUT_MS, chromium_executable
from tests.servers.chat_server import ChatServer, LiveUser

# What the page has when its body begins: nothing can be painted before.
WATCH = """() => new MutationObserver((_, observer) => {
  if (document.body === null) return
  observer.disconnect()
  window.themeAtFirst = [document.documentElement.dataset.theme, getComputedStyle(document.documentElement).colorScheme]
}).observe(document, { childList: true, subtree: true })"""


def ink(page: Page) -> str:
    return str(page.evaluate("getComputedStyle(document.body).color"))


def test_a_chosen_theme_is_there_from_the_first_paint_on_each_page_and_follows_in_other_tabs(
    server: ChatServer, open_page: Callable[..., Any], person: LiveUser, forgive: Callable[[str], None]
) -> None:
    forgive("status of 404")
    page: Page = open_page(server.url, user=person, color_scheme="light")
    second = page.context.new_page()
    second.goto(server.url + "/accounts/")
    light = ink(second)

    page.get_by_test_id("theme").select_option("dark")

    expect(second.get_by_test_id("theme")).to_have_value("dark")
    dark = ink(second)
    assert dark != light
    page.add_init_script(f"({WATCH})()")
    for path in ("/", "/accounts/", "/accounts/login/", "/c/nowhere/"):
        page.goto(server.url + path)
        # Stored before the request of the page is sent, so it is known before there is anything to paint.
        assert page.evaluate("window.themeAtFirst") == ["dark", "dark"], path
        assert ink(page) == dark, path

    second.get_by_test_id("theme").select_option("auto")
    page.goto(server.url)

    assert ink(page) == light


def test_a_browser_may_install_the_chat(server: ChatServer, person: LiveUser, tmp_path: Path, chromium: Any) -> None:
    """In a profile of its own: in a private window nothing can be installed."""
    browser = chromium.browser.browser_type
    context = browser.launch_persistent_context(
        tmp_path, executable_path=chromium_executable(), args=list(FLAGS), timeout=TIMEOUT_MS
    )
    try:
        context.set_default_timeout(TIMEOUT_MS)
        cookie = {"name": "sessionid", "value": person.session_key, "domain": "127.0.0.1", "path": "/"}
        context.add_cookies([cookie])
        page = context.new_page()
        page.goto(server.url)
        expect(page.locator("html[data-ready]")).to_be_attached()
        session = context.new_cdp_session(page)

        manifest = session.send("Page.getAppManifest")
        errors = session.send("Page.getInstallabilityErrors")["installabilityErrors"]

        assert (manifest["errors"], errors) == ([], [])
        # Nothing of a person is kept by a worker that outlives the page.
        assert page.evaluate("navigator.serviceWorker.getRegistrations().then(found => found.length)") == 0
    finally:
        context.close()
