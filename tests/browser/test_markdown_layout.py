"""A reply looks like what it is: code in its colours, tables in their frames, and nothing wider than the screen."""

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.browser import axe
from tests.browser.chat_page import ChatPage
from tests.browser.held_replies import HoldReply
from tests.servers.chat_server import LiveUser, SimulatorControl

CODE = 'def greet(name: str) -> str:\n    return f"Hello {name}"  # said once\n'
TEXT = f"""# Heading

Some *emphasis*, some `code`, and Donau{"dampfschifffahrts" * 12}kapitän.

```python
{CODE}```

| Ship | Length | Cargo |
|:-----|-------:|:-----:|
| {"Long" * 30} | 120 | {"grain" * 20} |

1. First
   - inner
2. Second

> A quotation with https://example.invalid/{"path/" * 40}

{"`" + "x" * 300 + "`"}
"""

FITS = """() => document.scrollingElement.scrollWidth <= document.scrollingElement.clientWidth
  && document.querySelector("#messages-pane").scrollWidth <= document.querySelector("#messages-pane").clientWidth"""


@pytest.fixture
def answered(chat: ChatPage, simulator: SimulatorControl) -> ChatPage:
    simulator.script(text=TEXT)
    chat.ask("W" * 400)
    return chat


def test_markdown_becomes_what_it_means(answered: ChatPage) -> None:
    body = answered.reply_body

    expect(body.get_by_role("heading", name="Heading")).to_be_visible()
    expect(body.locator("em")).to_have_text("emphasis")
    expect(body.locator("ol > li")).to_have_count(2)
    expect(body.locator("ol ul > li")).to_have_text("inner")
    expect(body.locator("blockquote a")).to_have_attribute("target", "_blank")
    assert body.locator("th").all_inner_texts() == ["Ship", "Length", "Cargo"]
    classes = body.locator("td").evaluate_all("cells => cells.map((cell) => cell.className)")
    assert classes == ["cell--left", "cell--right", "cell--center"]


def test_code_is_coloured_named_and_copied_exactly(answered: ChatPage) -> None:
    answered.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    frame = answered.reply_body.locator(".code")
    copy = frame.locator("[data-part=copy]")
    said = answered.remember_changes(copy)

    expect(frame.locator(".hljs-keyword").first).to_have_text("def")
    expect(frame.locator("[data-part=language]")).to_have_text("python")
    copy.click()
    answered.wait_until(lambda: any("Copied" in text for text in said()), "it says that it was copied")

    assert answered.page.evaluate("navigator.clipboard.readText()") == CODE
    expect(copy).to_have_text("Copy")


def test_the_whole_reply_is_copied_as_it_was_written(answered: ChatPage) -> None:
    answered.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    copy = answered.reply.locator(".reply__foot [data-part=copy]")
    said = answered.remember_changes(copy)

    copy.click()
    answered.wait_until(lambda: any("Copied" in text for text in said()), "it says that it was copied")

    assert answered.page.evaluate("navigator.clipboard.readText()") == TEXT


def test_nothing_is_wider_than_the_screen(answered: ChatPage) -> None:
    overflowing = []
    for width in (320, 375, 768, 1280):
        answered.page.set_viewport_size({"width": width, "height": 800})
        answered.page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        axe.wait_for_animations(answered.page)
        if not answered.page.evaluate(FITS):
            overflowing.append(width)

    assert overflowing == []


def test_thinking_and_tools_are_folded_away_and_can_be_opened(chat: ChatPage, simulator: SimulatorControl) -> None:
    simulator.script(blocks=[{"type": "thinking", "thinking": "First I count."}, {"type": "text", "text": "Three."}])
    chat.ask()
    thought = chat.reply.locator("details[data-kind=thinking]")

    expect(thought).not_to_have_attribute("open", "")
    thought.locator("summary").click()

    expect(thought).to_contain_text("First I count.")


def test_a_reader_who_scrolled_up_is_left_there_until_the_jump(
    open_chat: Callable[..., ChatPage], person: LiveUser, held_reply: HoldReply
) -> None:
    chat = open_chat(person, viewport={"width": 700, "height": 400})
    pane = chat.page.locator("#messages-pane")

    def is_at_the_beginning() -> bool:
        chat.page.mouse.wheel(0, -10_000)
        return bool(pane.evaluate("pane => pane.scrollTop") == 0)

    with held_reply("\n\n".join(f"Line {number}" for number in range(60))):
        chat.send()
        expect(chat.reply_body).to_contain_text("Line 15")
        pane.hover()
        chat.wait_until(is_at_the_beginning, "the beginning is in view")
        expect(chat.page.get_by_role("button", name="Jump to latest")).to_be_visible()
    chat.wait_for_status("complete")
    stayed_at = pane.evaluate("pane => pane.scrollTop")
    chat.page.get_by_role("button", name="Jump to latest").click()

    assert stayed_at == 0
    expect(chat.reply_body.get_by_text("Line 59")).to_be_in_viewport()
    expect(chat.page.get_by_role("button", name="Jump to latest")).to_be_hidden()


WIDE = "| " + " | ".join(f"Column {number}" for number in range(30)) + " |\n|" + "--|" * 30 + "\n"
ROW = "| " + " | ".join("grain" for _ in range(30)) + " |\n"

# Draws a text as a reply that streams does, and leaves its view for `MORE`.
BEGIN = """
async (text) => {
  const { MarkdownView } = await import("/static/js/views/markdown_view.js")
  window.view = new MarkdownView({ highlighter: { highlight() {} }, typesetter: { typesetInside() {} } })
  document.querySelector("#messages").append(view.element)
  view.append(text)
  view.draw()
}
"""
MORE = "(text) => { view.append(text); view.draw() }"
SCROLLED = "(element) => { element.scrollLeft = 80; return element.scrollLeft }"


def test_what_is_read_while_it_grows_stays_where_it_is(chat: ChatPage) -> None:
    chat.page.evaluate(BEGIN, WIDE + ROW)
    table = chat.page.locator(".prose__table")
    kept = [table.evaluate(SCROLLED)]
    chat.page.evaluate(MORE, ROW)
    kept.append(table.evaluate("(element) => element.scrollLeft"))
    chat.page.evaluate(MORE, "\n- code in a list\n\n  ```python\n  " + "x = 1; " * 80)
    code = chat.page.locator(".prose li pre")
    kept.append(code.evaluate(SCROLLED))
    chat.page.evaluate(MORE, "\n  y = 2\n  ```\n\nA paragraph with **bold** and more")
    kept.append(code.evaluate("(element) => element.scrollLeft"))
    paragraph = chat.page.locator(".prose__part > p")
    paragraph.evaluate("(p) => getSelection().setBaseAndExtent(p.firstChild, 2, p.lastChild, 4)")
    chat.page.evaluate(MORE, " words, and *others*.")
    chat.page.evaluate(MORE, "\n\nThe next one.")

    assert kept == [80, 80, 80, 80]
    assert chat.page.evaluate("String(getSelection())") == "paragraph with bold and"


def test_what_is_drawn_in_pieces_is_one_block_to_its_reader(chat: ChatPage) -> None:
    code = "".join(f"line {number}\n" for number in range(130))
    rows = "".join(f"| [row][x] {number} | b |\n" for number in range(70))
    items = "".join(f"{number}. item\n" for number in range(1, 71))
    text = f"```text\n{code}```\n\n| a | b |\n|---|---|\n{rows}\n{items}\n[x]: https://example.com\n"
    chat.page.evaluate(BEGIN, text[:700])
    chat.page.evaluate(f"(text) => text.match(/[^]{{1,99}}/g).forEach({MORE})", text[700:])

    for _ in ("streamed", "read again, with its links"):
        prose = chat.page.locator(".prose").last
        assert prose.locator(".code code").all_text_contents() == [code]
        expect(prose.locator("table")).to_have_count(1)
        expect(prose.locator("thead")).to_have_count(1)
        expect(prose.locator("ol")).to_have_count(3)
        assert prose.locator("ol").evaluate_all("lists => lists.map(({ start }) => start)") == [1, 31, 61]
        chat.page.evaluate("() => view.finish()")
    expect(chat.page.locator(".prose tbody a")).to_have_count(70)


def test_a_selected_reply_has_its_words_only(chat: ChatPage, simulator: SimulatorControl) -> None:
    simulator.script(text=f"Look:\n\n```python\n{CODE}```\n\nThat is all.")
    chat.ask()

    chat.reply.evaluate("(reply) => getSelection().selectAllChildren(reply)")

    selected = chat.page.evaluate("String(getSelection())")
    assert [line for line in selected.splitlines() if line] == ["Look:", *CODE.splitlines(), "That is all."]


def test_each_block_goes_its_own_way_and_code_from_left_to_right(chat: ChatPage, simulator: SimulatorControl) -> None:
    simulator.script(
        text="Here is the answer:\n\nهذا هو الجواب.\n\n`print` يطبع النص.\n\n- عنصر\n- item\n\n```python\nprint(1)\n```"
    )
    chat.ask()
    way = "(elements) => elements.map((element) => getComputedStyle(element).direction)"

    body = chat.reply_body
    assert body.locator(".prose__part > p").evaluate_all(way) == ["ltr", "rtl", "rtl"]
    assert body.locator("li").evaluate_all(way) == ["rtl", "ltr"]
    assert body.locator(".code, .code pre, code").evaluate_all(way) == ["ltr"] * 4


def test_the_whole_conversation_is_printed_without_the_page_around_it(
    chat: ChatPage, simulator: SimulatorControl
) -> None:
    simulator.script(text="\n\n".join(f"Line {number} of many." for number in range(150)))
    chat.ask()
    chat.page.emulate_media(media="print")

    expect(chat.page.locator("#sidebar")).to_be_hidden()
    expect(chat.box).to_be_hidden()
    pages = chat.page.pdf().count(b"/Type /Page\n")
    assert pages > 2
    chat.page.emulate_media(media="screen")


MATHS = r"""The mass is \(E = mc^2\), so:

$$
\vec{v} = \sqrt{\frac{a_1}{b^{2}}} \quad \overbrace{x + y}^{z}
$$

It costs $5 to $10. Wrong: \(\frac{\), and \(\href{javascript:alert(1)}{x}\).
"""


def test_formulas_are_drawn_and_money_stays_money(chat: ChatPage, simulator: SimulatorControl) -> None:
    fetched: list[str] = []
    chat.page.on("request", lambda request: fetched.append(request.url))
    simulator.script(text="No formula yet.")
    chat.ask()
    early = [url for url in fetched if "katex" in url]
    simulator.script(text=MATHS)
    chat.ask()
    body = chat.reply_body

    expect(body.locator(".math .katex")).to_have_count(3)
    expect(body.locator(".math--display svg").first).to_be_visible()
    expect(body).to_contain_text("It costs $5 to $10.")
    expect(body.locator(".math--plain")).to_have_text(r"\frac{")
    assert early == []
    assert body.locator("a, [data-style]").count() == 0
    chat.reload()
    expect(body.locator(".math .katex")).to_have_count(3)


def test_code_can_be_wrapped(chat: ChatPage, simulator: SimulatorControl) -> None:
    simulator.script(text="```text\n" + "word " * 200 + "\n```")
    chat.ask()
    pre = chat.reply_body.locator("pre")
    is_wider = "(pre) => pre.scrollWidth > pre.clientWidth"
    before = pre.evaluate(is_wider)

    chat.reply_body.get_by_role("button", name="Wrap lines").click()

    assert (before, pre.evaluate(is_wider)) == (True, False)


def test_a_long_message_of_one_s_own_is_folded_and_can_be_opened(chat: ChatPage) -> None:
    chat.ask("\n".join(f"Line {number}" for number in range(60)))
    text = chat.questions.locator("[data-part=text]")
    height = "(element) => element.getBoundingClientRect().height"
    folded = text.evaluate(height)

    chat.questions.get_by_role("button", name="Show all").click()

    assert text.evaluate(height) > 3 * folded
    chat.questions.get_by_role("button", name="Show less").click()
    assert text.evaluate(height) == folded


def test_a_tool_s_call_shows_its_input_and_its_result(chat: ChatPage, simulator: SimulatorControl) -> None:
    call = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "ships"}}
    pages = [{"type": "web_search_result", "url": "https://a.example/", "title": "Ships", "encrypted_content": "RW5j"}]
    result = {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": pages}
    simulator.script(blocks=[call, result, {"type": "text", "text": "Three."}])
    chat.ask()
    called = chat.reply.locator("details[data-kind=tool_input]")

    for _ in range(2):
        called.locator("summary").click()
        expect(called).to_contain_text('"query": "ships"')
        expect(called).to_contain_text("https://a.example/")
        chat.reload()
