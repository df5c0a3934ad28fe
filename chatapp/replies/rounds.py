"""The requests of one reply: the first one, and one more each time the provider pauses the answer (`pause_turn`), or
the answer calls a tool of this chat.

What was said goes back as it came, with the results of tools, and is continued: the reply goes on, its blocks are
counted on, and the ledger has one row per request. How often is bounded, because a turn may pause for ever. The
question and what was said since are the history of such a request, and the results are its turn: so it reads what the
request before it wrote to the cache.
"""

import logging
from typing import Any

from django.utils import timezone

from chatapp.conversations import places, prompts
from chatapp.replies import round_money
from chatapp.replies.sent_messages import Sent
from warmcache import Purpose
from warmcache import services as warmcache
from warmcache.background.database import in_database_thread
from warmcache.core.prefix import AnyPrompt, LastTurn

logger = logging.getLogger(__name__)

MAX_ROUNDS = 6
"""Requests for one reply. In each of them the provider may run a tool about ten times."""


class Rounds:
    """The requests of one reply, one at a time. `ending` stores the end of the reply with the last request's row."""

    def __init__(self, sent: Sent, *, ending: warmcache.Ending) -> None:
        self.results: list[warmcache.Result] = []
        """Of the requests that have ended."""
        self._sent = sent
        self._ending = ending
        self._begun = 0
        self._goes_on = False
        self._response: warmcache.ResponseStream | None = None

    @property
    def left(self) -> int:
        """How many more requests there may be."""
        return MAX_ROUNDS - self._begun

    def begin(self) -> warmcache.ResponseStream:
        """The request that the message asks for."""
        draft, turn = prompts.draft_and_turn(self._sent.content)
        before = self._sent.before
        container_id = before.container.id_at(timezone.now()) if before.container else None
        return self._request(before.with_draft(draft), turn, purpose=Purpose.REPLY, container=container_id)

    async def go_on(
        self, content: list[dict[str, Any]], *, container_id: str | None
    ) -> warmcache.ResponseStream | None:
        """The request that continues the answer. `content` is all of the reply as its row has it. None if nothing was
        said that could be continued. Raises `FrameError` where the person's money does not last for it."""
        turns = prompts.exchange(content, is_open=True)
        if not turns:
            return None
        prompt = self._sent.before.prompt.with_turns(prompts.asked(self._sent.content), *turns[:-1])
        await in_database_thread(round_money.set_aside, self._sent, prompt.with_turns(turns[-1]), self.results)
        return self._request(prompt, turns[-1], purpose=Purpose.TOOL_ROUND, container=container_id)

    async def leave_unfinished(self) -> None:
        """Closes the connection of an answer that goes on and writes its row, without the end of the reply."""
        self._goes_on = True
        await self.leave(None)
        self._goes_on = False

    async def leave(self, failure: BaseException | None) -> warmcache.Result | None:
        """Closes the connection and writes the ledger, and with it, in the same transaction, our own end. None if there
        was no request since the last call."""
        response, self._response = self._response, None
        if response is None:
            return None
        try:
            response.person_is_next = not self._goes_on
            await response.__aexit__(type(failure) if failure else None, failure, None)
        except Exception:
            logger.exception("A request of reply %s is not in the ledger", self._sent.reply.pk)
        if not response.is_over:
            return None
        self.results.append(response.result)
        return response.result

    def _request(self, prompt: AnyPrompt, turn: LastTurn, **options: Any) -> warmcache.ResponseStream:
        sent = self._sent
        self._begun += 1
        self._response = warmcache.stream_response(
            prompt,
            turn,
            max_tokens=sent.conversation.assistant.max_output_tokens,
            label=sent.before.label,
            subject=f"user {sent.conversation.user_id}",
            place=places.place_of(sent.reply.conversation_id),
            ending=self._end,
            **options,
        )
        return self._response

    def _end(self, result: warmcache.Result) -> None:
        if not self._goes_on:
            self._ending(result)
