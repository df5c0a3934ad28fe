"""How far are estimates of tokens from the bill, before the first bill and after nine? On the simulator, which counts
with tokenizers that the estimates know nothing of: each of ten texts of one kind is estimated, sent, and billed."""

import asyncio
import json
import pydoc_data.topics
import re
import sysconfig
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

import django

from tests.warmcache.simulated import simulated
from warmcache.core.prefix import Prompt, build_request
from warmcache.learned.forecasts import Learning
from warmcache.simulator.tokenizers import TOKENIZERS

MODEL = "claude-sonnet-5-5"
TEXTS = 10
CHARACTERS = 9000


@dataclass(frozen=True, slots=True, kw_only=True)
class Errors:
    """The errors of one kind's estimates, in the order in which they were sent, as shares of the bill."""

    tokenizer: str
    kind: str
    shares: tuple[float, ...]


def run() -> None:
    """Prints one line for each tokenizer and kind of text."""
    print(f"errors of estimates of {TEXTS} texts of {CHARACTERS:,} characters, {MODEL}; with the bills before")
    print(f"{'tokenizer':<12}{'text':<16}{'first':>9}{'second':>9}{'tenth':>9}")
    for errors in asyncio.run(measured()):
        first, second, tenth = (f"{errors.shares[n]:+.1%}" for n in (0, 1, TEXTS - 1))
        print(f"{errors.tokenizer:<12}{errors.kind:<16}{first:>9}{second:>9}{tenth:>9}")


async def measured() -> list[Errors]:
    """Every tokenizer with every kind of text; nothing is carried over from one to the next."""
    found = []
    for tokenizer in TOKENIZERS:
        async with simulated(tokenizer=tokenizer) as simulator:
            for kind, make in KINDS.items():
                learning = Learning(upstream="simulator")
                shares = []
                for text in make():
                    prompt = Prompt(model=MODEL, system=({"type": "text", "text": text},))
                    request = build_request(prompt, None, simulator.config.prefix_key)
                    estimated = learning.sized("bench", request.prefix).prefix_tokens
                    usage = (await simulator.provider.prewarm(request)).usage
                    learning.saw_bill("bench", request.prefix, usage)
                    shares.append(estimated / usage.cached_tokens - 1)
                found.append(Errors(tokenizer=tokenizer, kind=kind, shares=tuple(shares)))
    return found


def _cut(pieces: Iterator[str]) -> list[str]:
    """The pieces, in texts of one length."""
    whole = ""
    for piece in pieces:
        whole += piece
        if len(whole) >= TEXTS * CHARACTERS:
            break
    return [whole[n * CHARACTERS : (n + 1) * CHARACTERS] for n in range(TEXTS)]


def _english() -> list[str]:
    """The language reference that Python brings with it, as running text."""
    topics: dict[str, str] = pydoc_data.topics.topics
    return _cut(re.sub(r"\s+", " ", text) for _, text in sorted(topics.items()))


def _chinese() -> list[str]:
    """Sentences that Django is translated into."""
    sentences: list[str] = []
    for file in sorted(Path(django.__file__).parent.rglob("locale/zh_Hans/LC_MESSAGES/django.po")):
        for text in re.findall(r'^msgstr(?:\[0\])? "(.+)"$', file.read_text(encoding="utf-8"), re.MULTILINE):
            if len(re.findall("[\u4e00-\u9fff]", text)) > len(text) / 2:
                sentences.append(text + "。")
    return _cut(islice(cycle(sentences), 100_000))


def _python() -> list[str]:
    library = Path(sysconfig.get_paths()["stdlib"])
    return _cut(file.read_text(encoding="utf-8") for file in sorted(library.glob("[a-d]*.py")))


def _json() -> list[str]:
    """Records as a tool would answer them."""
    return _cut(
        json.dumps({"id": 7919 * n % 100_003, "name": name, "price": n * 37 % 1000 / 100, "tags": name.split("_")})
        for n, name in enumerate(cycle(sorted(pydoc_data.topics.topics)))
    )


def _pdf() -> list[str]:
    """The text of a PDF as tools extract it: broken lines, hyphens, ligatures, page numbers, tables."""
    text = (
        re.sub(r"\s+", " ", " ".join(pydoc_data.topics.topics.values())).replace("fi", "\ufb01").replace("fl", "\ufb02")
    )
    lines = (text[n : n + 62] + ("-" if text[n + 61 : n + 63].isalpha() else "") for n in range(0, len(text), 62))
    return _cut(_with_page(n, line) for n, line in enumerate(lines))


def _with_page(n: int, line: str) -> str:
    if n % 40 == 0:
        return f"\n\n{n // 40 + 1}\nPython reference \u2013 section {n // 40}.{n % 7}\n"
    return f"{n}  {n * 37 % 1000 / 10}  {n * 91 % 777}  \u2022\n" if n % 9 == 0 else f"{line}\n"


KINDS: dict[str, Callable[[], list[str]]] = {
    "English prose": _english,
    "Chinese prose": _chinese,
    "Python": _python,
    "JSON": _json,
    "text of a PDF": _pdf,
}
