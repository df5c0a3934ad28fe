"""Answers with citations, server tools and pauses, as a person reads them: one text, marks in it, sources below."""

from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser import axe
from tests.browser.chat_page import ChatPage
from tests.servers.chat_server import SimulatorControl

FORECAST = "https://weather.example/today"
CALL = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "weather"}}
FOUND = {
    "type": "web_search_tool_result",
    "tool_use_id": "srvtoolu_1",
    "content": [{"type": "web_search_result", "url": FORECAST, "title": "Today", "encrypted_content": "RW5j"}],
}


def cited(text: str, url: str = FORECAST, title: str = "Weather today") -> dict[str, Any]:
    location = {"type": "web_search_result_location", "url": url, "title": title}
    return {"type": "text", "text": text, "citations": [{**location, "cited_text": "59 F", "encrypted_index": "RW8"}]}


def text(value: str) -> dict[str, Any]:
    return {"type": "text", "text": value}


ANSWER = [
    text("I look it up."),
    CALL,
    FOUND,
    text("By the forecast, "),
    cited("today it is **59 F.**"),
    text(" for San Francisco:\n\n- it"),
    cited(" may rain", "https://rain.example/radar", "bank.example/login"),
    text("\n- take a coat"),
    cited("\n\n```\nbring(umbrella)\n```", "javascript:alert(1)", "A page without an address"),
]


def test_an_answer_with_citations_is_one_text_live_and_after_a_reload(
    chat: ChatPage, simulator: SimulatorControl
) -> None:
    simulator.script(blocks=ANSWER)
    chat.ask()

    def shown() -> tuple[str, list[str]]:
        prose = [each.replace("\xa0", " ") for each in chat.reply_body.locator(".prose").all_inner_texts()]
        sources = chat.reply.locator("[data-part=source-list] li").all_inner_texts()
        return "\n---\n".join(prose), sources

    live = shown()
    chat.reload()

    assert "By the forecast, today it is 59 F.[1] for San Francisco:" in live[0]
    assert "it may rain[2]" in live[0]
    assert live[0].count("\n---\n") == 1
    assert live[1] == [
        "Weather today weather.example",
        "bank.example/login rain.example",
        "A page without an address",
    ]
    assert shown() == live
    expect(chat.reply_body.locator(".prose ul li")).to_have_count(2)
    expect(chat.reply_body.locator(".code .cite")).to_have_count(0)
    assert axe.violations(chat.page) == []
    links = chat.reply.locator(".cite a")
    assert links.evaluate_all("links => links.map(({ href, rel, target }) => [href, rel, target])") == [
        [FORECAST, "noopener noreferrer nofollow", "_blank"],
        ["https://rain.example/radar", "noopener noreferrer nofollow", "_blank"],
    ]


def test_a_copied_answer_is_one_text_with_its_sources(chat: ChatPage, simulator: SimulatorControl) -> None:
    chat.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    simulator.script(blocks=ANSWER[:6])
    chat.ask()

    chat.reply.locator("[data-part=copy]").first.click()
    expect(chat.reply.locator("[data-part=copy]").first).to_contain_text("Copied")

    assert chat.page.evaluate("navigator.clipboard.readText()") == (
        "I look it up.\n\nBy the forecast, today it is **59 F.**[1] for San Francisco:\n\n- it"
        f"\n\n[1] Weather today, {FORECAST}"
    )


@pytest.mark.parametrize(
    ("blocks", "stop_reason", "words"),
    [
        ([text("One moment."), {"type": "tool_use", "name": "look_up", "input": {"q": 1}}], "tool_use", "did not run"),
        ([text("So far."), CALL], "pause_turn", "paused"),
    ],
    ids=("a tool that nobody runs", "paused for too long"),
)
def test_an_end_that_is_none_gets_a_sentence(
    chat: ChatPage, simulator: SimulatorControl, blocks: list[dict[str, Any]], stop_reason: str, words: str
) -> None:
    simulator.script(blocks=blocks, stop_reason=stop_reason, times=6 if stop_reason == "pause_turn" else 1)

    chat.ask()

    expect(chat.reply.locator("[data-part=ending-text]")).to_contain_text(words)
    simulator.script(text="It goes on.")
    chat.ask("And now?")
    expect(chat.reply_body).to_contain_text("It goes on.")


def test_a_paused_answer_goes_on_in_the_same_reply(chat: ChatPage, simulator: SimulatorControl) -> None:
    simulator.script(blocks=[text("I look it up."), CALL], stop_reason="pause_turn")
    simulator.script(blocks=[FOUND, text("By the forecast, "), cited("it is 59 F"), text(".")])

    chat.ask()

    live = chat.texts()
    chat.reload()
    assert chat.texts() == live
    expect(chat.replies).to_have_count(1)
    expect(chat.reply_body).to_contain_text("By the forecast, it is 59 F[1].")
    expect(chat.reply.locator("[data-part=ending]")).to_be_hidden()
