"""Tools of the chat and structured answers, as a person sees them."""

from collections.abc import Callable

from playwright.sync_api import expect

from tests.browser import axe
from tests.browser.chat_page import ChatPage
from tests.servers.chat_server import LiveUser, SimulatorControl
from tests.servers.mcp_server import ToolServer

WEATHER = {"city": "Rome", "days": [{"day": "Monday", "degrees": 20}, {"day": "Tuesday", "degrees": 21}]}


def test_a_call_is_folded_with_its_input_and_result_and_the_answer_follows(
    open_chat: Callable[..., ChatPage], person: LiveUser, assistants_with_tools: dict[str, int]
) -> None:
    chat = open_chat(person, assistant=assistants_with_tools["own"])

    chat.ask("calculator: 6 * 7")

    call = chat.reply.locator("details[data-kind=tool_input]")
    expect(call).to_have_count(1)
    expect(call.locator("[data-part=title]")).to_have_text("Called a tool (calculator)")
    expect(call.locator("[data-part=result-text]")).to_be_hidden()
    call.locator("summary").click()
    expect(call.locator("[data-part=body]")).to_contain_text('"expression": "6 * 7"')
    expect(call.locator("[data-part=result-text]")).to_have_text("42")
    expect(chat.reply_body.locator(".prose")).to_contain_text("answered: 42")
    expect(chat.reply.locator("[data-part=ending]")).to_be_hidden()
    assert axe.violations(chat.page) == []
    live = chat.texts()
    chat.reload()
    chat.reply.locator("details[data-kind=tool_input] summary").click()
    assert chat.texts() == live


def test_a_structured_answer_is_a_table_live_and_after_a_reload(
    open_chat: Callable[..., ChatPage],
    person: LiveUser,
    assistants_with_tools: dict[str, int],
    simulator: SimulatorControl,
) -> None:
    chat = open_chat(person, assistant=assistants_with_tools["structured"])
    simulator.script(text="It is warm.")
    simulator.script(blocks=[{"type": "tool_use", "name": "structured_answer", "input": WEATHER}])

    chat.ask()

    answer = chat.reply.get_by_test_id("structured-answer")
    expect(answer.locator("table table thead th")).to_have_text(["day", "degrees"])
    expect(answer.locator("table table tbody td")).to_have_text(["Monday", "20", "Tuesday", "21"])
    expect(chat.reply.locator("[data-part=ending]")).to_be_hidden()
    expect(chat.reply.locator("[data-part=waiting]").first).to_be_hidden()
    assert axe.violations(chat.page) == []
    live = chat.texts()
    chat.reload()
    assert chat.texts() == live
    simulator.script(text='{"city": "Oslo", "days": []}')
    chat.ask("And Oslo?")
    expect(chat.reply.get_by_test_id("structured-answer").locator("tbody th")).to_have_text(["city", "days"])


def test_a_person_is_asked_before_a_tool_of_another_server_is_called(
    open_chat: Callable[..., ChatPage], person: LiveUser, assistants_with_tools: dict[str, int], words: ToolServer
) -> None:
    chat = open_chat(person, assistant=assistants_with_tools["of_another_server"])
    chat.send("words__look_up: banana")

    question = chat.reply.get_by_test_id("consent")
    expect(question).to_contain_text("Words (127.0.0.1:")
    title = chat.reply.locator("details[data-kind=tool_input] [data-part=title]")
    expect(title).to_have_text("Wants to call a tool (words__look_up)")
    expect(question.locator("[data-part=input]")).to_have_text('{\n  "word": "banana"\n}')
    assert axe.violations(chat.page) == []
    # It is still asked after a reload, and answered by the keyboard alone.
    chat.reload()
    expect(question).to_contain_text("banana")
    assert words.calls == []
    question.locator("[data-part=input]").focus()
    chat.page.keyboard.press("Tab")
    expect(question.get_by_role("button", name="Allow once")).to_be_focused()
    chat.page.keyboard.press("Tab")
    chat.page.keyboard.press("Enter")

    chat.wait_for_status("complete")
    expect(question.locator("[data-part=said]")).to_have_text("You allowed this tool always.")
    expect(question.get_by_role("button")).to_have_count(0)
    expect(question).to_be_focused()
    expect(title).to_have_text("Called a tool (words__look_up)")
    expect(chat.reply_body.locator(".prose")).to_contain_text("Bananas are yellow.")
    assert axe.violations(chat.page) == []
    chat.ask("words__look_up: apple")
    expect(chat.reply.get_by_test_id("consent")).to_have_count(0)
    assert words.calls == [("look_up", "banana"), ("look_up", "apple")]
