"""A conversation of 200 turns, with its history summarised and as it is: dollars and time to first token per turn.

The same texts twice over a real server and the simulator, which answers at once: the time to first token is what the
profile `2024` takes to read what was billed, so that a busy machine changes nothing. A turn's dollars are the mean of
the ten turns that end there, with what summaries and warm-ups cost in between. "After a pause" is the same prompt when
nothing of it is cached any more. At the end: what was billed in all, and that the ledger has every cent of it.
`COMPRESSION_TURNS` and `COMPRESSION_THRESHOLD` set other sizes.
"""

import asyncio
import os
import tempfile
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.servers.chat_server import ChatServer
from tests.servers.tabs import LiveTab, open_tab
from warmcache.simulator.latency import PROFILES

TURNS = int(os.environ.get("COMPRESSION_TURNS", "200"))
THRESHOLD = int(os.environ.get("COMPRESSION_THRESHOLD", "20000"))
MARKS = [TURNS * quarter // 4 for quarter in (1, 2, 3, 4)]
AROUND = 10
MODEL = "claude-sonnet-5-5"
QUESTION = "Turn {number}. " + "Tell me more about the garden behind the house, and who walks there at night. " * 8
ANSWER = "Answer {number}. " + "The garden is quiet, and somebody has left a lamp at the end of the wet path. " * 12
QUIET_SECONDS = 0.3
"""After a reply, for the summary to begin."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    prompt_tokens: int
    uncached_tokens: int
    reply_usd: Decimal

    def ttft_seconds(self, *, is_cold: bool = False) -> float:
        uncached = self.prompt_tokens if is_cold else self.uncached_tokens
        return PROFILES["2024"].prefill_seconds(uncached, self.prompt_tokens - uncached)


@dataclass(slots=True, kw_only=True)
class Talk:
    turns: list[Turn] = field(default_factory=list)
    besides: list[Decimal] = field(default_factory=list)
    """What summaries and warm-ups had cost in all after each turn."""
    summaries: int = 0
    outcomes: dict[str, int] = field(default_factory=dict)
    billed_usd: Decimal = Decimal(0)
    in_ledger_usd: Decimal = Decimal(0)

    def usd_per_turn(self, mark: int) -> Decimal:
        replies = sum(turn.reply_usd for turn in self.turns[mark - AROUND : mark])
        before = self.besides[mark - AROUND - 1] if mark > AROUND else Decimal(0)
        return (replies + self.besides[mark - 1] - before) / AROUND


def run() -> None:
    talks = {}
    for name, threshold in (("off", 0), ("on", THRESHOLD)):
        with tempfile.TemporaryDirectory() as folder:
            url = f"sqlite:///{Path(folder) / 'db.sqlite3'}"
            environment = {"SUMMARISE_ABOVE_TOKENS": str(threshold)}
            with ChatServer(database_url=url, users=("ann",), environment=environment) as server:
                talks[name] = asyncio.run(_talk(server))
    _print(talks["off"], talks["on"])


async def _talk(server: ChatServer) -> Talk:
    talk, place = Talk(), {"assistant_id": server.assistants["small-talk"]}
    server.query("UPDATE chatapp_assistant SET model = ?, thinking = '', effort = ''", MODEL)
    async with open_tab(server) as tab:
        for number in range(1, TURNS + 1):
            place = await _turn(server, tab, talk, number, place)
    talk.summaries = server.query("SELECT count(*) FROM chatapp_summary WHERE used_from_id IS NOT NULL")[0][0]
    talk.outcomes = dict(server.query("SELECT outcome, count(*) FROM warmcache_warmup GROUP BY outcome"))
    talk.in_ledger_usd = _sum(server, "warmcache_usagerecord") + _sum(server, "warmcache_warmup")
    talk.billed_usd = sum((turn.reply_usd for turn in talk.turns), start=Decimal(0)) + talk.besides[-1]
    return talk


async def _turn(server: ChatServer, tab: LiveTab, talk: Talk, number: int, place: dict[str, Any]) -> dict[str, Any]:
    server.simulator.script(text=ANSWER.format(number=number))
    tab.frames.clear()
    await tab.send("typing.started", chars=40, attachment_ids=[], **place)
    await tab.say(QUESTION.format(number=number), **place)
    created = await tab.until("message.created")
    usage = (finished := await tab.until("reply.finished"))["usage"]
    await asyncio.sleep(QUIET_SECONDS if talk.turns and talk.turns[-1].prompt_tokens > THRESHOLD else 0)
    await _nobody_summarises(server)
    uncached = usage["input_tokens"] + usage["cache_write_tokens"]
    talk.turns.append(
        Turn(
            prompt_tokens=uncached + usage["cache_read_tokens"],
            uncached_tokens=uncached,
            reply_usd=Decimal(finished["cost_usd"]),
        )
    )
    talk.besides.append(
        _sum(server, "warmcache_usagerecord", "WHERE purpose = 'compaction'") + _sum(server, "warmcache_warmup")
    )
    return {"conversation_id": created["conversation_id"]}


async def _nobody_summarises(server: ChatServer) -> None:
    while True:
        if not server.query("SELECT 1 FROM chatapp_summary WHERE text = '' AND failed_at IS NULL"):
            return
        await asyncio.sleep(0.05)


def _sum(server: ChatServer, table: str, where: str = "") -> Decimal:
    found = server.query(f"SELECT cost_usd FROM {table} {where}")  # noqa: S608 - the words are ours
    return sum((Decimal(str(usd)) for (usd,) in found if usd), start=Decimal(0))


def _print(off: Talk, on: Talk) -> None:
    print(f"{TURNS} turns, summarised above {THRESHOLD:,} tokens; each cell: as it is / summarised")
    print(f"{'turn':>6}{'prompt, tokens':>20}{'dollars a turn':>20}{'TTFT':>17}{'TTFT after a pause':>22}")
    for mark in MARKS:
        before, after = off.turns[mark - 1], on.turns[mark - 1]
        print(
            f"{mark:>6}"
            f"{f'{before.prompt_tokens:,} / {after.prompt_tokens:,}':>20}"
            f"{f'{off.usd_per_turn(mark):.4f} / {on.usd_per_turn(mark):.4f}':>20}"
            f"{f'{before.ttft_seconds():.2f} / {after.ttft_seconds():.2f} s':>17}"
            f"{f'{before.ttft_seconds(is_cold=True):.2f} / {after.ttft_seconds(is_cold=True):.2f} s':>22}"
        )
    for name, talk in (("as it is", off), ("summarised", on)):
        gap = abs(talk.billed_usd - talk.in_ledger_usd)
        in_ledger = f"the ledger lacks ${gap}" if gap else "the ledger has all of it"
        besides = f"{talk.summaries} summaries in use, warm-ups {talk.outcomes or 'none'}"
        print(f"{name}: ${talk.billed_usd:.3f} in all, {besides}, {in_ledger}")
