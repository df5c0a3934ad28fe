"""Run in a process of its own by `find`: makes the rows, indexes them, and times each kind of search."""

import math
import random
import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from itertools import islice

import django

django.setup()

from django.db import connection  # noqa: E402
from django.utils import timezone  # noqa: E402

from chatapp.conversations import lists, search, search_index  # noqa: E402
from chatapp.models import Assistant, Conversation, Message, User  # noqa: E402
from chatapp.protocol import ConversationsLoad, SearchAsk  # noqa: E402

CONVERSATIONS = 10_000
MESSAGES = 4
WORDS = 60
VOCABULARY = 20_000
TIMES = 40
CJK = "天地玄黄宇宙洪荒日月盈昃辰宿列张寒来暑往秋收冬藏闰余成岁律吕调阳云腾致雨露结为霜金生丽水玉出昆冈"

QUERIES = {
    "a rare word": "w19990",
    "a word of every second message": "w0",
    "two common words": "w0 w1",
    "the first letters of many words": "w1",
    "three words": "w7 w11 w23",
    "two characters without spaces": "宇宙",
    "nothing": "zzz",
}


def main() -> None:
    user, assistant = _make_rows()
    print("| | p50, ms | p95, ms | CPU, ms | SQL |\n|---|---|---|---|---|")
    _time("indexing, per message", _index, times=1, per=CONVERSATIONS * MESSAGES)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    for name, query in QUERIES.items():
        _time(f"search: {name}", lambda query=query: search.look(user, SearchAsk(query=query)))
    own = Message.objects.filter(conversation__user=user).order_by("-created_at")
    _time("beside it: ILIKE, a rare word", lambda: list(own.filter(text__icontains="w19990")[:20]), times=5)
    _time("the list: its first part", lambda: lists.first_page(user))
    _time("the list: part after part to its end", lambda: list(_parts(user)), times=3)


def _make_rows() -> tuple[User, Assistant]:
    draw = random.Random(1)  # noqa: S311 - repeatable rows
    user = User.objects.create_user("ann")
    assistant = Assistant.objects.create(name="A", slug="a", model="claude-sonnet-5-5", system_prompt="You help.")
    now = timezone.now()
    conversations = [
        Conversation(
            user=user,
            assistant=assistant,
            title=f"{_word(draw)} {_word(draw)}",
            updated_at=now - timedelta(minutes=number),
            read_at=now,
        )
        for number in range(CONVERSATIONS)
    ]
    Conversation.objects.bulk_create(conversations, batch_size=500)
    messages = (
        Message(
            conversation=conversation,
            role="user" if number % 2 == 0 else "assistant",
            text=_text(draw),
            created_at=conversation.updated_at + timedelta(seconds=number),
        )
        for conversation in reversed(conversations)
        for number in range(MESSAGES)
    )
    while batch := list(islice(messages, 2_000)):
        Message.objects.bulk_create(batch, batch_size=500)
    return user, assistant


def _word(draw: random.Random) -> str:
    """As in a language: few words are common, most are rare."""
    return f"w{int(VOCABULARY ** draw.random()) - 1}"


def _text(draw: random.Random) -> str:
    words = [_word(draw) for _ in range(WORDS)]
    start = draw.randrange(len(CJK) - 8)
    return f"{' '.join(words)} {CJK[start : start + 8]}"


def _index() -> None:
    while search_index.index_some():
        pass


def _parts(user: User) -> Iterator[int]:
    page = lists.first_page(user)
    while page.next is not None:
        yield len(page.conversations)
        page = lists.page(user, ConversationsLoad(before=page.next))


def _time(name: str, work: Callable[[], object], *, times: int = TIMES, per: int = 1) -> None:
    work_began = time.process_time()
    statements = 0

    def count(execute: Callable[..., object], *call: object) -> object:
        nonlocal statements
        statements += 1
        return execute(*call)

    with connection.execute_wrapper(count):
        waits_ms = sorted(_waits(work, times))
    # The database's own only on SQLite, which works in this process.
    cpu_ms = (time.process_time() - work_began) * 1000 / times / per
    p50_ms, p95_ms = statistics.median(waits_ms) / per, waits_ms[math.ceil(0.95 * times) - 1] / per
    print(f"| {name} | {p50_ms:.1f} | {p95_ms:.1f} | {cpu_ms:.1f} | {statements / times / per:.1f} |", flush=True)


def _waits(work: Callable[[], object], times: int) -> Iterable[float]:
    for _ in range(times):
        began = time.perf_counter()
        work()
        yield (time.perf_counter() - began) * 1000


if __name__ == "__main__":
    main()
