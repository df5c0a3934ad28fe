"""A reply is text by a stranger: whatever it holds, nothing runs, nobody else is asked, and the page stays."""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Page, expect

from tests.browser.chat_page import ChatPage
from tests.browser.hostile_texts import CANARY, CORPUS
from tests.servers.chat_server import SimulatorControl

WATCH = """
window.alarms = []
window.canary = (...rest) => { alarms.push("script " + rest.join()) }
addEventListener("securitypolicyviolation", (e) => alarms.push(`policy ${e.violatedDirective} ${e.blockedURI}`))
"""

# Draws each text as a reply does while it streams, cut into pieces of `size` characters, and leaves it in the page.
DRAW_IN_PIECES = """
async ([texts, size]) => {
  const { MarkdownView } = await import("/static/js/views/markdown_view.js")
  const place = document.querySelector("#messages")
  for (const text of texts) {
    const view = new MarkdownView({ highlighter: { highlight() {} }, typesetter: { typesetInside() {} } })
    place.append(view.element)
    for (let at = 0; at < text.length; at += size) {
      view.append(text.slice(at, at + size))
      view.draw()
    }
    view.finish()
  }
}
"""

FORBIDDEN = (
    "script, img, svg, math, iframe, object, embed, style, link, meta, base, form, input, textarea, video, audio, "
    "details, template, noscript, [style], [id], [name], [srcdoc]"
)

FINDINGS = """
(root) => ({
  forbidden: [...root.querySelectorAll(FORBIDDEN)].map((element) => element.outerHTML),
  handlers: [...root.querySelectorAll("*")].flatMap(({ attributes }) =>
    [...attributes].filter(({ name }) => name.startsWith("on")).map(({ name }) => name)),
  links: [...root.querySelectorAll("a")].map(
    ({ href, rel, target, textContent }) => ({ href, rel, target, textContent })),
})
""".replace("FORBIDDEN", repr(FORBIDDEN))


class Alarm:
    """Everything that must not happen, from the moment it is made."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._own_host = urlsplit(page.url).netloc
        self.heard: list[str] = []
        page.evaluate(WATCH)
        page.on("dialog", self._dialog)
        page.on("request", self._request)
        page.on("framenavigated", lambda frame: self.heard.append(f"navigation to {frame.url}"))
        page.context.on("page", lambda opened: self.heard.append(f"window {opened.url}"))

    def all_heard(self) -> list[str]:
        # Two frames and an idle moment: a blocked image or a late handler would have spoken by then.
        self._page.evaluate("new Promise((done) => requestAnimationFrame(() => requestIdleCallback(done)))")
        return self.heard + self._page.evaluate("alarms")

    def _dialog(self, dialog: Any) -> None:
        self.heard.append(f"dialog {dialog.message}")
        dialog.dismiss()

    def _request(self, request: Any) -> None:
        if urlsplit(request.url).netloc != self._own_host:
            self.heard.append(f"request to {request.url}")


def test_the_alarm_would_be_heard(chat: ChatPage, forgive: Callable[[str], None]) -> None:
    forgive("violates the following Content Security Policy")
    alarm = Alarm(chat.page)
    call = "src => { canary(1); document.body.append(Object.assign(new Image(), { src })) }"

    chat.page.evaluate(call, f"https://{CANARY}/0")
    chat.page.wait_for_function("alarms.length >= 2")

    assert {"script 1", f"policy img-src https://{CANARY}/0"} <= set(alarm.all_heard())


def test_hostile_text_in_pieces_of_any_size_is_only_ever_text(chat: ChatPage) -> None:
    alarm = Alarm(chat.page)

    for size in (1, 2, 3, 7, 10_000):
        chat.page.evaluate(DRAW_IN_PIECES, [list(CORPUS), size])

    assert alarm.all_heard() == []
    _assert_harmless(chat.page.locator("#messages").evaluate(FINDINGS))


def test_hostile_text_in_a_streamed_and_a_restored_reply_is_only_ever_text(
    chat: ChatPage, simulator: SimulatorControl
) -> None:
    simulator.script(text="\n\n".join(CORPUS))
    chat.send()
    alarm = Alarm(chat.page)

    chat.wait_for_status("complete")
    streamed = chat.reply_body.evaluate(FINDINGS)
    heard = [event for event in alarm.all_heard() if "/c/" not in event]
    chat.reload()

    assert heard == []
    _assert_harmless(streamed)
    _assert_harmless(chat.reply_body.evaluate(FINDINGS))


def test_thinking_titles_and_questions_are_text_too(chat: ChatPage, simulator: SimulatorControl) -> None:
    hostile = "<img src=x onerror=canary()><script>canary()</script>"
    blocks = [{"type": "thinking", "thinking": hostile}, {"type": "text", "text": "Done."}]
    simulator.script(blocks=blocks)
    alarm = Alarm(chat.page)

    chat.ask(hostile)
    heard = [event for event in alarm.all_heard() if "/c/" not in event]

    assert heard == []
    expect(chat.questions).to_contain_text(hostile)
    expect(chat.conversations).to_contain_text("<img src=x")
    expect(chat.page.locator("#messages img, #messages script, #conversations img")).to_have_count(0)


def test_links_lead_outside_without_telling_where_from(chat: ChatPage) -> None:
    text = f"[see](https://{CANARY}/a) <mailto:a@ok.invalid> ![look](https://{CANARY}/b.png)"

    chat.page.evaluate(DRAW_IN_PIECES, [[text], 5])

    links = chat.page.locator("#messages").evaluate(FINDINGS)["links"]
    shown = [(link["href"], link["textContent"]) for link in links]
    assert shown == [
        (f"https://{CANARY}/a", f"see ({CANARY})"),
        ("mailto:a@ok.invalid", "mailto:a@ok.invalid"),
        (f"https://{CANARY}/b.png", f"Image: look ({CANARY})"),
    ]


def test_a_link_that_lies_shows_where_it_leads_and_none_leads_into_the_site(chat: ChatPage) -> None:
    text = f"[https://bank.invalid](https://{CANARY}/) [i](https:admin/) [j](http:admin/)"

    chat.page.evaluate(DRAW_IN_PIECES, [[text], 3])

    links = chat.page.locator("#messages").evaluate(FINDINGS)["links"]
    assert [(link["href"], link["textContent"]) for link in links] == [
        (f"https://{CANARY}/", f"https://bank.invalid ({CANARY})"),
        ("https://admin/", "i (admin)"),
        ("http://admin/", "j (admin)"),
    ]


def _assert_harmless(findings: dict[str, Any]) -> None:
    own = [text for text in findings["forbidden"] if not text.startswith('<svg class="icon"')]
    assert own == []
    assert findings["handlers"] == []
    assert findings["links"]
    for link in findings["links"]:
        assert link["href"].split(":")[0] in ("http", "https", "mailto"), link
        assert (link["rel"], link["target"]) == ("noopener noreferrer nofollow", "_blank"), link
        assert not any(sign in link["textContent"] for sign in "\u200b\u202e\u202c\u2066\u2069"), link
