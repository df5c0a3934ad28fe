"""What every client is asked, and how its answers are told to the test. Runs in the client's own environment."""

import json
import sys
import urllib.request
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

from pydantic import BaseModel

MODEL = "claude-haiku-5-5"
"""The newest model that lets a request force a tool, as most clients do for structured output."""
GARDEN = "Slugs avoid copper. A ring of copper tape around the bed keeps slugs away for years.\n\n" * 60
SYSTEM = f'<document title="Garden">\n{GARDEN}</document>'
QUESTION = "How do I keep slugs away?"
MORE = "And for how many years does the copper tape keep slugs away?"
SAID = "sunny in Rome"


class Advice(BaseModel):
    """Advice for a garden."""

    title: str
    steps: list[str]
    years: int


def weather(place: str) -> str:
    """The weather at a place."""
    return f"sunny in {place}"


def next_reply_calls(url: str, name: str, given: dict[str, Any]) -> None:
    """The simulated model calls a tool that is not forced only where it is told to."""
    script = {"blocks": [{"type": "tool_use", "name": name, "input": given}]}
    headers = {"content-type": "application/json"}
    request = urllib.request.Request(f"{url}/simulator/script", json.dumps(script).encode(), headers, method="POST")
    with urllib.request.urlopen(request) as response:
        assert response.status == 200


def next_reply_asks_for_the_weather(url: str) -> None:
    next_reply_calls(url, "weather", {"place": "Rome"})


def tell(package: str, **cases: Callable[[str], bool]) -> None:
    """Runs each case with the simulator's address and writes the results as JSON; an error stands in its own words."""
    url = sys.argv[1]
    told: dict[str, Any] = {"version": version(package)}
    for name, case in cases.items():
        try:
            told[name] = "yes" if case(url) else "no"
        except Exception as error:  # the test shows it
            told[name] = f"{type(error).__name__}: {error}"
    json.dump(told, sys.stdout)
