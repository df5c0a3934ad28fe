"""One running reply: reads the provider's stream into its log and ends it. Owned by the process, never by a socket."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

from chatapp import log_context
from chatapp.conversations import containers, prepared_conversations, prompts, reply_states
from chatapp.conversations.reply_states import MAY_TELL, Cause, Written
from chatapp.protocol import ReplyFinished
from chatapp.replies import ends, metrics, rows, traces
from chatapp.replies.checkpoints import Checkpoints
from chatapp.replies.ends import Ended
from chatapp.replies.log import ReplyHead, ReplyLog, new_epoch
from chatapp.replies.patient_writes import patiently
from chatapp.replies.rounds import Rounds
from chatapp.replies.sent_messages import Sent
from chatapp.replies.timeline import Timeline
from chatapp.replies.tools.loop import ToolLoop
from chatapp.replies.tools.mcp_calls import McpCalls
from chatapp.replies.writer import ReplyWriter
from chatapp.warming import returns
from warmcache import RequestWarmth
from warmcache import services as warmcache

logger = logging.getLogger(__name__)
T = TypeVar("T")

LAST_WRITE_SECONDS = 2.0
"""Time to write the end of a reply whose process cannot wait any longer."""


class ReplyRun:
    """Drives one reply from `streaming` to one of its ends (see `reply_states`)."""

    def __init__(self, sent: Sent, *, received_at: float) -> None:
        reply = sent.reply
        self.reply_id: UUID = reply.pk
        self.conversation_id: UUID = reply.conversation_id
        self.user_id: int = sent.conversation.user_id
        self.log = ReplyLog(
            ReplyHead(
                reply_id=reply.pk,
                epoch=reply.epoch or new_epoch(),
                parent_id=rows.parent_of(reply),
                conversation_id=reply.conversation_id,
                user_id=self.user_id,
                model=reply.model,
            )
        )
        self._sent = sent
        self._received_at, self._committed_at = received_at, time.monotonic()
        self._claim = rows.claim_of(reply)
        self._writer = ReplyWriter(self.log, received_at=received_at, shared_hash=sent.before.history_hash)
        self._checkpoints = Checkpoints(self._claim, self._writer, on_lost=partial(self.stop, Cause.LOST))
        self._rounds = Rounds(sent, ending=self._store_with_ledger)
        self._mcp = McpCalls(reply_id=reply.pk, user_id=self.user_id, add=lambda block: self._add([block]))
        self._loop = ToolLoop(sent.before.toolbox, mcp=self._mcp)
        self._failure: BaseException | None = None
        self._stopped_for: Cause | None = None
        self._cut: asyncio.Timeout | None = None
        self._cause = Cause.WHOLE
        self._content: Mapping[str, Any] = {}
        self._ended: Ended | None = None

    def stop(self, cause: Cause = Cause.STOPPED) -> None:
        """Closes the upstream call at once; the text so far is kept."""
        if self._stopped_for is None and not self.log.is_finished:
            self._stopped_for = cause
            if self._cut is not None:
                self._cut.reschedule(asyncio.get_running_loop().time())

    async def run(self) -> Ended:
        """Never raises because of the provider. Always ends the log with `reply.finished`, or abandons it if the row
        has another end already; does so before it lets itself be cancelled, too."""
        log_context.bind(conversation=self.conversation_id, reply=self.reply_id, person=self.user_id)
        try:
            await self._read()
        finally:
            self.log.expect(RequestWarmth.COLD)
        ending = asyncio.get_running_loop().create_task(self._end(), name=f"end of reply {self.reply_id}")
        try:
            return await asyncio.shield(ending)
        except asyncio.CancelledError:
            await asyncio.wait({ending}, timeout=LAST_WRITE_SECONDS)
            ending.cancel()
            await asyncio.wait({ending})
            raise

    async def _read(self) -> None:
        """Returns when the answer is complete, or its failure is in `_failure`."""
        await self._read_round(self._begin)
        while self._failure is None and await self._is_to_go_on():
            if not await self._read_round(self._go_on):
                return

    async def _is_to_go_on(self) -> bool:
        """Whether another request continues the answer; runs the tools that it calls. False too if that has failed."""
        content = self._writer.content
        try:
            if content.is_paused and self._rounds.left:
                await self._rounds.leave_unfinished()
                return True
            return self._loop.concerns(content.stop_reason) and await self._answer_calls()
        except asyncio.CancelledError as cancelled:
            self._failure = cancelled
        except Exception as failure:
            self._failure = failure
        return False

    async def _answer_calls(self) -> bool:
        said = prompts.api_content(self._writer.content_columns()["content"][self._writer.content.first_of_round :])
        step = await self._until_stopped(self._loop.after(said, has_room=self._rounds.left > 0))
        self._add(step.added)
        if step.goes_on:
            # The request is over before the tools run, which may take a while.
            await self._rounds.leave_unfinished()
            self._add(await self._until_stopped(self._loop.run(step.calls, is_last=self._rounds.left == 1)))
        return step.goes_on

    def _add(self, blocks: Sequence[Mapping[str, Any]]) -> None:
        for block in blocks:
            self._writer.add(block)
        self._checkpoints.note()

    async def _until_stopped(self, work: Coroutine[Any, Any, T]) -> T:
        """Cancelled as soon as the reply is to stop."""
        cut = asyncio.timeout(0 if self._stopped_for is not None else None)
        try:
            async with cut as self._cut:
                return await work
        except TimeoutError:
            if cut.expired():
                raise asyncio.CancelledError from None
            raise
        finally:
            self._cut = None

    async def _read_round(self, request: Callable[[], Awaitable[warmcache.ResponseStream | None]]) -> bool:
        """Reads the provider's stream to its end. False if there is no such request."""
        if self._stopped_for is not None:
            self._failure = asyncio.CancelledError()
            return False
        try:
            async with asyncio.timeout(None) as self._cut:
                response = await request()
                if response is None:
                    return False
                async for events in response.batches():
                    self._writer.take(events)
                    self._checkpoints.note()
        except asyncio.CancelledError as cancelled:
            # The process ends: what has arrived is kept all the same.
            self._failure = cancelled
        except Exception as failure:
            self._failure = asyncio.CancelledError() if self._cut and self._cut.expired() else failure
        finally:
            self._cut = None
        return True

    async def _begin(self) -> warmcache.ResponseStream:
        response = self._rounds.begin()
        self.log.expect(await response.expected_warmth())
        return response

    async def _go_on(self) -> warmcache.ResponseStream | None:
        content = self._writer.content_columns()["content"]
        response = await self._rounds.go_on(content, container_id=self._writer.content.container_id)
        if response is not None:
            self._writer.begin_round()
        return response

    async def _end(self) -> Ended:
        self._checkpoints.end()
        self._writer.close()
        self._content = self._writer.content_columns()
        self._cause = reply_states.cause_of(self._failure, asked=self._stopped_for)
        if self._cause is Cause.OUR_FAULT:
            logger.error("A reply failed for a reason of our own", exc_info=self._failure)
        result = await self._rounds.leave(self._failure)
        ended = self._ended if result is not None and result.ending_was_run else None
        if ended is None:
            ended = await self._stored(result)
        await self._checkpoints.close()
        if ended.written in MAY_TELL or ended.written is None:
            self.log.append(ended.finished)
            self._measure(ended, result)
        else:
            self.log.abandon()
        if ended.written is Written.DONE:
            self._get_ready(ended, result)
        return ended

    def _measure(self, ended: Ended, result: warmcache.Result | None) -> None:
        timeline = Timeline.of(
            received_at=self._received_at,
            committed_at=self._committed_at,
            ttft_ms=ended.finished.ttft_ms,
            results=[*self._rounds.results, result],
        )
        metrics.saw_reply(
            ended.finished,
            assistant=self._sent.before.label,
            model=self.log.head.model,
            own_seconds=timeline.own_seconds,
        )
        traces.saw_reply(
            ended.finished,
            timeline,
            assistant=self._sent.before.label,
            model=self.log.head.model,
            calls=self._mcp.spent,
        )

    def _store_with_ledger(self, result: warmcache.Result) -> None:
        self._ended = self._store(result)

    def _store(self, result: warmcache.Result | None) -> Ended:
        """Stores the end. Called in a database thread; may run twice."""
        return ends.store(
            self._claim,
            self.conversation_id,
            self._finished_frame(result),
            self._content,
            request_id=result.request_id if result else "",
            reservation=rows.reservation_of(self._sent.reply, self._sent.conversation.user_id),
        )

    async def _stored(self, result: warmcache.Result | None) -> Ended:
        """Stores the end if no call was made, or the ledger could not be written."""
        try:
            return await patiently(self._store, result)
        except Exception:
            logger.exception("The end of reply %s is lost; its row has the last checkpoint", self.reply_id)
            return Ended(finished=self._finished_frame(result), content=self._content["content"])

    def _finished_frame(self, result: warmcache.Result | None) -> ReplyFinished:
        earlier = [each for each in self._rounds.results if each is not result]
        return ends.finished_frame(
            self.log,
            [*earlier, *([result] if result else [])],
            cause=self._cause,
            failure=self._failure,
            ttft_ms=self._writer.ttft_ms,
        )

    def _get_ready(self, ended: Ended, result: warmcache.Result | None) -> None:
        """Prepares the next message: adds this turn to the prepared conversation, and plans to keep its prompt warm.

        A refused turn is left out of what comes next: that history is read anew, and this prompt is not kept warm.
        """
        if ended.consequence.leaves_question_out:
            return
        sent = self._sent
        turns = (prompts.asked(sent.content), *prompts.answered(ended.content, is_whole=True))
        prepared_conversations.store.put(
            sent.before.grown(
                turns,
                tip_id=self.reply_id,
                mark=prepared_conversations.mark_of(sent.conversation),
                container=containers.of_reply(self._content["rounds"]),
            )
        )
        if result is not None and self._failure is None:
            user_id = sent.conversation.user_id
            returns.expect(self.conversation_id, result, user_id=user_id, label=sent.before.label)
