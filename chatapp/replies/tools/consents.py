"""What a person says before a tool of another server is called: once, always, or no.

A question is a row, so that any process may take its answer. The process that writes the reply is told at once, and
looks at the row besides: an event may be lost.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import UUID

from django.db import transaction
from django.db.models import F

from chatapp.conversations import access
from chatapp.models import McpAnswer, McpConsent, McpQuestion, McpTool, Message, User
from chatapp.protocol.words import ReplyStatus
from warmcache.background.database import in_database_thread

ANSWER_SECONDS = 120.0
"""How long a call waits: less than a prompt stays warm."""
LOOK_SECONDS = 2.0
"""Time between two looks at the row."""

_waiting: dict[UUID, set[asyncio.Event]] = {}
"""By reply: calls of this process that wait."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A tool with its server as its row is now, and whether the person was asked before."""

    tool: McpTool
    is_allowed: bool


def plan_for(tool_id: int, user_id: int) -> Plan | None:
    """None if there is no such tool any more. In a database thread, as everything here that reads rows."""
    tool = McpTool.objects.select_related("server").filter(pk=tool_id).first()
    if tool is None:
        return None
    given = McpConsent.objects.filter(user=user_id, tool=tool, digest=tool.digest)
    return Plan(tool=tool, is_allowed=given.exists())


def ask(reply_id: UUID, call_id: str, tool: McpTool) -> None:
    McpQuestion.objects.get_or_create(
        reply_id=reply_id, call_id=call_id, defaults={"tool": tool, "digest": tool.digest}
    )


def answer(user: User, reply_id: UUID, call_id: str, said: McpAnswer) -> Message:
    """Stores what the person says; only the first answer counts. Returns the reply. Raises `access.NotFound` for what
    nobody was asked, and where the reply has ended."""
    reply = access.reply_for_user(user, reply_id)
    with transaction.atomic():
        question = McpQuestion.objects.select_for_update().filter(reply=reply, call_id=call_id).first()
        if question is None or (not question.answer and reply.status != ReplyStatus.STREAMING):
            raise access.NotFound("question")
        if not question.answer:
            McpQuestion.objects.filter(pk=question.pk).update(answer=said)
            if said is McpAnswer.ALWAYS:
                McpConsent.objects.get_or_create(user=user, tool_id=question.tool_id, digest=question.digest)
    return reply


def given_by(user: User) -> list[McpConsent]:
    """What the person lets be called always; not where the tool is defined otherwise by now."""
    given = McpConsent.objects.filter(user=user, digest=F("tool__digest"))
    return list(given.select_related("tool__server").order_by("tool__server__name", "tool__name"))


def withdraw(user: User, consent_id: int) -> bool:
    """Returns whether there was such a consent of this person."""
    return McpConsent.objects.filter(user=user, pk=consent_id).delete()[0] > 0


def wake(reply_id: UUID) -> None:
    """Some call of this reply has its answer. Does nothing if another process writes it."""
    for waiting in _waiting.get(reply_id, ()):
        waiting.set()


async def answered(reply_id: UUID, call_id: str) -> str:
    """Waits for the answer, but not for ever."""
    with _listening(reply_id) as news:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                while not (said := await in_database_thread(_answer_to, reply_id, call_id)):
                    await _heard(news)
                return said
        except TimeoutError:
            return await in_database_thread(_close, reply_id, call_id)


async def _heard(news: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(LOOK_SECONDS):
            await news.wait()
    except TimeoutError:
        return
    news.clear()


@contextmanager
def _listening(reply_id: UUID) -> Iterator[asyncio.Event]:
    news = asyncio.Event()
    _waiting.setdefault(reply_id, set()).add(news)
    try:
        yield news
    finally:
        _waiting[reply_id].discard(news)
        if not _waiting[reply_id]:
            del _waiting[reply_id]


def _answer_to(reply_id: UUID, call_id: str) -> str:
    """Empty while it waits. A question that is gone went with its conversation, or with its tool."""
    found = McpQuestion.objects.filter(reply=reply_id, call_id=call_id).values_list("answer", flat=True).first()
    return McpQuestion.UNANSWERED if found is None else found


def _close(reply_id: UUID, call_id: str) -> str:
    """From now on an answer comes too late; one that came in the last moment counts."""
    McpQuestion.objects.filter(reply=reply_id, call_id=call_id, answer="").update(answer=McpQuestion.UNANSWERED)
    return _answer_to(reply_id, call_id)
