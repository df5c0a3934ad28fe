"""A page that is loaded again in the middle of an answer, wherever that is, ends like one that was not."""

import random
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.chat_page import ChatPage
from tests.browser.test_whole_answers import CALL, FOUND, cited, text
from tests.servers.chat_server import SimulatorControl

MOMENTS = 10
ROWS = "".join(f"| row {number} | **{number}** |\n" for number in range(40))
ITEMS = "".join(f"{number}. item `{number}`\n" for number in range(1, 40))
ANSWER: list[dict[str, Any]] = [
    {"type": "thinking", "thinking": "First the forecast, then the rest. " * 8},
    text("I look it up: ![a map](https://maps.example/rome.png)\n\n"),
    CALL,
    FOUND,
    text("By the forecast, "),
    cited("today it is **59 F.**"),
    text(f" for San Francisco:\n\n{ITEMS}\n- it"),
    cited(" may rain", "https://rain.example/radar", "Radar"),
    text(f"\n- take a coat\n\n| a | b |\n|---|---|\n{ROWS}\n## Then\n\n```\nbring(umbrella)\n```\n\nThe end, 世界."),
]
# What a person reads and hears, in its order. How blocks are laid out together is nothing to them, and how long the
# thinking took is known only to a page that saw it begin.
SHOWN = """
(reply) => {
  const copy = reply.cloneNode(true)
  for (const part of copy.querySelectorAll(".prose__part")) part.replaceWith(...part.childNodes)
  for (const title of copy.querySelectorAll("[data-kind=thinking] [data-part=title]")) title.remove()
  for (const foot of copy.querySelectorAll("[data-part=foot]")) foot.remove()
  copy.normalize()
  return copy.innerHTML.replace(/\\s+/g, " ")
}
"""


@pytest.mark.soak
def test_ten_reloads_in_the_middle_of_answers_leave_the_same_page(chat: ChatPage, simulator: SimulatorControl) -> None:
    draw = random.Random(13)  # noqa: S311 - repeatable moments
    simulator.script(blocks=ANSWER, times=MOMENTS + 1)
    chat.ask()
    whole = chat.reply.evaluate(SHOWN)
    tokens = simulator.requests()[-1]["usage"]["output_tokens"]

    for number in range(MOMENTS):
        moment = draw.randrange(1, tokens)
        simulator.fault(kind="stall", where="after_first_token", match="reply", after_tokens=moment)
        chat.send()
        expect(chat.replies).to_have_count(number + 2)
        expect(chat.reply).to_have_attribute("data-status", "streaming")
        expect(chat.reply_body.locator("*").first).to_be_attached()
        chat.reload()
        expect(chat.replies).to_have_count(number + 2)
        simulator.release()
        chat.wait_for_status("complete")
        assert chat.reply.evaluate(SHOWN) == whole, f"reloaded after {moment} of {tokens} tokens"
    chat.reload()
    assert chat.reply.evaluate(SHOWN) == whole, "reloaded at the end"
