"""The chat as a person meets it: what can be seen and done, by the page's own test hooks."""

import re
import time
from collections.abc import Callable, Sequence

from playwright.sync_api import Locator, Page, expect

from tests.servers import PATIENCE_SECONDS

QUESTION = "Which ships lie in the harbour today?"
LETTER = re.compile(r"\w")
POLL_MS = 50

REMEMBER = """
(element, attribute) => {
  const value = () => attribute === null ? element.textContent : element.getAttribute(attribute)
  const key = `remembered ${attribute} ${performance.now()}`
  window[key] = [value()]
  const note = () => value() !== window[key].at(-1) && window[key].push(value())
  new MutationObserver(note).observe(element, {
    attributes: attribute !== null, childList: attribute === null, characterData: attribute === null, subtree: true,
  })
  return key
}
"""


# Says that the network is back as long as the page does not try by itself, and whether there is a connection.
WAKE = """() => {
  const { state } = document.querySelector("[data-testid=connection-status]").dataset
  if (state === "waiting") dispatchEvent(new Event("online"))
  return state === "ready"
}"""


class ChatPage:
    """One tab. Waits for states of the page, never for a time."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.box = page.get_by_test_id("composer-input")
        self.badge = page.get_by_test_id("warmth-badge")
        self.send_button = page.get_by_test_id("send-button")
        self.stop_button = page.get_by_test_id("stop-button")
        self.messages = page.get_by_test_id("message")
        self.questions = page.locator("[data-testid=message][data-role=user]")
        self.replies = page.get_by_test_id("reply")
        self.reply = self.replies.last
        self.conversations = page.get_by_test_id("conversation-item")
        self.again = page.get_by_role("button", name="Try again")

    @property
    def conversation_id(self) -> str:
        return self.page.url.rstrip("/").rpartition("/")[2]

    @property
    def reply_body(self) -> Locator:
        return self.reply.locator(".reply__body")

    def wait_until_ready(self) -> None:
        expect(self.page.locator("html[data-ready=true]")).to_be_attached()

    def choose(self, assistant_id: int) -> None:
        card = self.page.locator(f"label:has(input[name=assistant][value='{assistant_id}'])")
        card.click()
        # The server has answered once the header names the assistant.
        name = card.locator(".card__name").inner_text()
        expect(self.page.locator("#conversation-header [data-part=assistant]")).to_contain_text(name)

    def type(self, text: str) -> None:
        self.box.press_sequentially(text)

    def send(self, text: str = QUESTION) -> None:
        """Puts the text there as a paste would, and presses Enter."""
        self.box.fill(text)
        self.box.press("Enter")

    def ask(self, text: str = QUESTION) -> Locator:
        """Sends, and waits for the whole reply."""
        before = self.replies.count()
        self.send(text)
        expect(self.replies).to_have_count(before + 1)
        self.wait_for_status("complete")
        return self.reply

    def wait_for_status(self, status: str) -> None:
        expect(self.reply).to_have_attribute("data-status", status)

    def wait_for_badge(self, state: str) -> None:
        expect(self.badge).to_have_attribute("data-state", state)

    def wait_for_words(self) -> None:
        """Until the running reply shows its first words."""
        expect(self.reply_body).to_contain_text(LETTER)

    def reload(self) -> None:
        self.page.reload()
        self.wait_until_ready()

    def wait_until(self, is_so: Callable[[], object], what: str) -> None:
        """For what the page alone cannot tell; `what` names it in the failure."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not is_so():
            assert time.monotonic() < deadline, f"never happened: {what}"
            self.page.wait_for_timeout(POLL_MS)

    def reconnect(self) -> None:
        """As when the network is back."""
        self.page.wait_for_function(WAKE, polling=POLL_MS)

    def texts(self) -> Sequence[str]:
        """The questions' and replies' words, in order; without buttons, facts and authors."""
        parts = self.page.locator("[data-testid=message] [data-part=text], [data-testid=reply] .reply__body")
        return parts.all_inner_texts()

    def remember_changes(self, locator: Locator, attribute: str | None = None) -> Callable[[], list[str]]:
        """Every value that the attribute (or the text) takes from now on, the present one first."""
        key = locator.evaluate(REMEMBER, attribute)
        return lambda: self.page.evaluate("key => window[key]", key)
