"""One running reply: reads the provider, feeds the log, keeps the row. Owned by the process, never by a socket."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import ParamSpec, TypeVar
from uuid import UUID

from django.db import Error as DatabaseTrouble
from django.utils import timezone

from chatapp.models import Message
from chatapp.protocol import ReplyBlock, ReplyDelta, ReplyFinished
from chatapp.protocol_views import UsageView
from chatapp.services import prompts, reply_metrics, reply_rows, reply_states, returns
from chatapp.services.reply_content import ReplyContent, storable
from chatapp.services.reply_log import ReplyHead, ReplyLog, new_epoch
from chatapp.services.reply_states import MAY_TELL, Cause, ConversationGoneError
from warmcache import services as warmcache
from warmcache.core.ports import BlockBegan, BlockDelta, BlockEnded, BlockKind, BlockSigned, StreamEvent
from warmcache.core.prefix import Json, Prompt
from warmcache.database import in_database_thread
from warmcache.tasks import TaskOwner

logger = logging.getLogger(__name__)
P = ParamSpec("P")
T = TypeVar("T")

COALESCE_SECONDS = 0.04
"""Deltas that come faster are sent together: fewer frames, and no eye can tell."""

CHECKPOINT_SECONDS = 1.0
CHECKPOINT_BYTES = 2048
"""The row has the text at least this often, so that a crash costs no more than this."""

DATABASE_TROUBLE = (DatabaseTrouble, OSError)

WRITE_TRIES = 9
FIRST_WRITE_PAUSE_SECONDS = 0.3
LONGEST_WRITE_PAUSE_SECONDS = 3.0
"""Some 16 s in all: a database that restarts costs no reply its end."""


class ReplyRun:
    """Drives one reply from `streaming` to `complete`, `stopped`, `interrupted` or `failed`."""

    def __init__(
        self,
        reply: Message,
        *,
        received_at: float,
        before_told: Callable[[ReplyFinished], Awaitable[None]] | None = None,
    ) -> None:
        """`before_told` is called between the end's being stored and its being told."""
        self.reply_id: UUID = reply.pk
        self.parent_id = parent_of(reply)
        self.conversation_id: UUID = reply.conversation_id
        self.user_id: int = reply.conversation.user_id
        self.model = reply.model
        self.log = ReplyLog(
            ReplyHead(
                reply_id=reply.pk,
                epoch=reply.epoch or new_epoch(),
                parent_id=self.parent_id,
                conversation_id=reply.conversation_id,
                user_id=self.user_id,
                model=reply.model,
            )
        )
        self._claim = reply_rows.claim_of(reply)
        self._reply = reply
        self._received_at = received_at
        self._before_told = before_told
        self._content = ReplyContent()
        self._open_text: list[str] = []
        self._open_block: tuple[int, BlockKind] | None = None
        self._flushed_at = 0.0
        self._flush_timer: asyncio.TimerHandle | None = None
        self._ttft_ms: int | None = None
        self._response: warmcache.ResponseStream | None = None
        self._reading: asyncio.Task[None] | None = None
        self._stopped_for: Cause | None = None
        self._side_tasks = TaskOwner(f"reply {reply.pk}")
        self._checkpoint_timer: asyncio.TimerHandle | None = None
        self._checkpointed_bytes = 0

    def stop(self, cause: Cause = Cause.STOPPED) -> None:
        """Closes the upstream call at once; the text so far is kept."""
        if self._stopped_for is None and not self.log.is_finished:
            self._stopped_for = cause
            if self._reading is not None:
                self._reading.cancel()

    async def run(self) -> None:
        """Never raises for the provider's sake, and always ends the log with `reply.finished`."""
        self._reading = asyncio.get_running_loop().create_task(self._read(), name=f"reading {self.reply_id}")
        if self._stopped_for is not None:
            self._reading.cancel()
        try:
            await asyncio.wait({self._reading})
        except asyncio.CancelledError:
            self.stop(Cause.SHUTDOWN)
            await asyncio.wait({self._reading})
        finally:
            # A reading task that was cancelled before its first step has told nothing.
            self.log.expect("cold")
        await self._finish(_failure_of(self._reading))

    async def _read(self) -> None:
        try:
            prompt, turn, max_tokens, label = await _patiently(_load, self._reply)
            self._response = warmcache.stream_response(
                prompt,
                turn,
                max_tokens=max_tokens,
                label=label,
                subject=f"user {self.user_id}",
                place=returns.place_of(self.conversation_id),
            )
            self.log.expect(await self._response.expected_warmth())
        finally:
            self.log.expect("cold")
        async with self._response as response:
            async for event in response:
                self._take(event)
        if response.result is not None:
            returns.expect(self.conversation_id, response.result, user_id=self.user_id, label=label)

    def _take(self, event: StreamEvent) -> None:
        match event:
            case BlockBegan():
                self._content.begin(event)
                self._append_block(event.index, event.kind, event.name, "start")
                if event.kind != "tool_input" and (first := event.block.get(event.kind)):
                    self._take_delta(BlockDelta(index=event.index, kind=event.kind, text=str(first)))
            case BlockDelta():
                self._take_delta(event)
            case BlockSigned():
                self._content.sign(event)
            case BlockEnded() if self._open_block is not None:
                self._flush()
                index, kind = self._open_block
                self._append_block(index, kind, "", "stop")
        self._checkpoint_soon()

    def _take_delta(self, event: BlockDelta) -> None:
        text = storable(event.text)
        self._content.add(event.index, text)
        self._open_text.append(text)
        if event.kind == "text" and self._ttft_ms is None:
            self._ttft_ms = round((time.monotonic() - self._received_at) * 1000)
            self._flush()
            return
        wait = self._flushed_at + COALESCE_SECONDS - time.monotonic()
        if wait <= 0:
            self._flush()
        elif self._flush_timer is None:
            self._flush_timer = asyncio.get_running_loop().call_later(wait, self._flush)

    def _flush(self) -> None:
        if self._flush_timer is not None:
            self._flush_timer.cancel()
            self._flush_timer = None
        text = "".join(self._open_text)
        self._open_text.clear()
        if not text or self._open_block is None:
            return
        index, kind = self._open_block
        self._flushed_at = time.monotonic()
        self.log.append(
            ReplyDelta(
                reply_id=self.reply_id, epoch=self.log.epoch, seq=self.log.seq + 1, kind=kind, block=index, text=text
            )
        )

    def _append_block(self, index: int, kind: BlockKind, name: str, state: str) -> None:
        self._open_block = (index, kind) if state == "start" else None
        self.log.append(
            ReplyBlock(
                reply_id=self.reply_id,
                epoch=self.log.epoch,
                seq=self.log.seq + 1,
                block=index,
                kind=kind,
                name=name,
                state="start" if state == "start" else "stop",
                data=None,
            )
        )

    def _checkpoint_soon(self) -> None:
        """By a timer, so that text before a silence is stored in time too."""
        new_bytes = self._content.bytes_received - self._checkpointed_bytes
        if new_bytes >= CHECKPOINT_BYTES and not len(self._side_tasks):
            self._checkpoint()
        elif new_bytes and self._checkpoint_timer is None:
            loop = asyncio.get_running_loop()
            self._checkpoint_timer = loop.call_later(CHECKPOINT_SECONDS, self._checkpoint)

    def _checkpoint(self) -> None:
        self._drop_checkpoint_timer()
        if len(self._side_tasks):
            # One at a time, or the older text might win; the next is due as soon as before.
            self._checkpoint_soon()
            return
        # What is stored ends with a frame, so that a reader can go on from there.
        self._flush()
        before, self._checkpointed_bytes = self._checkpointed_bytes, self._content.bytes_received
        columns = {**self._content_columns(), "log_seq": self.log.seq}
        self._side_tasks.spawn(self._store_checkpoint(columns, bytes_before=before), name="checkpoint")

    async def _store_checkpoint(self, columns: dict[str, object], *, bytes_before: int) -> None:
        try:
            is_ours = await in_database_thread(reply_rows.checkpoint, self._claim, columns, now=timezone.now())
        except DATABASE_TROUBLE as error:
            logger.warning("Reply %s goes on, its text is stored later: %s", self.reply_id, error)
            self._checkpointed_bytes = bytes_before
            return
        if not is_ours:
            # Deleted, or ended by a process that took this one for dead: nobody will read the rest.
            self.stop()

    def _drop_checkpoint_timer(self) -> None:
        if self._checkpoint_timer is not None:
            self._checkpoint_timer.cancel()
            self._checkpoint_timer = None

    async def _finish(self, failure: BaseException | None) -> None:
        self._drop_checkpoint_timer()
        self._flush()
        if self._open_block is not None:
            self._append_block(*self._open_block, "", "stop")
        await self._side_tasks.join(timeout_seconds=CHECKPOINT_SECONDS)
        finished = self._finished_frame(failure)
        if not await self._write_row(finished):
            self.log.abandon()
            return
        reply_metrics.saw_reply(finished, model=self.model)
        try:
            if self._before_told is not None:
                await self._before_told(finished)
        except Exception:
            logger.exception("What follows the end of reply %s failed", self.reply_id)
        self.log.append(finished)

    def _finished_frame(self, failure: BaseException | None) -> ReplyFinished:
        result = self._response.result if self._response else None
        cause = reply_states.cause_of(failure, asked=self._stopped_for)
        if cause is Cause.OUR_FAULT:
            logger.error("A reply failed for a reason of our own", exc_info=failure)
        usage = result.usage if result else None
        settlement = result.settlement if result else None
        return ReplyFinished(
            reply_id=self.reply_id,
            epoch=self.log.epoch,
            seq=self.log.seq + 1,
            status=reply_states.status_after(cause),
            stop_reason=(result.stop_reason if result else "") or None,
            error=reply_states.error_of(cause, failure),
            usage=None
            if usage is None
            else UsageView(
                input_tokens=usage.input_tokens,
                cache_read_tokens=usage.cache_read_tokens,
                cache_write_tokens=usage.cache_write_tokens,
                output_tokens=usage.output_tokens,
            ),
            warmth=settlement.warmth if settlement else "cold",
            ttft_ms=self._ttft_ms,
            cost_usd=format(settlement.cost_usd, "f") if settlement and settlement.cost_usd is not None else None,
            warm_up_id=settlement.warm_up_id if settlement else None,
        )

    async def _write_row(self, finished: ReplyFinished) -> bool:
        """Whether readers may be told: not where the row has another end already."""
        request_id = self._response.result.request_id if self._response and self._response.result else ""
        columns = {
            **self._content_columns(),
            **reply_rows.finished_columns(finished, request_id=request_id, now=timezone.now()),
        }
        try:
            return await _patiently(reply_rows.end, self._claim, columns) in MAY_TELL
        except Exception:
            logger.exception("The end of reply %s is lost; its row has the last checkpoint", self.reply_id)
            return True

    def _content_columns(self) -> dict[str, object]:
        return {"text": self._content.text(), "content": self._content.api_blocks()}


def parent_of(reply: Message) -> UUID:
    """The message that a reply answers."""
    if reply.parent_id is None:
        raise ValueError(f"Reply {reply.pk} answers no message.")
    return reply.parent_id


def _load(reply: Message) -> tuple[Prompt, Sequence[Json], int, str]:
    question = Message.objects.select_related("conversation__assistant").filter(pk=parent_of(reply)).first()
    if question is None:
        raise ConversationGoneError
    prompt, turn = prompts.prompt_and_turn(question)
    assistant = question.conversation.assistant
    return prompt, turn, assistant.max_output_tokens, assistant.slug


def _failure_of(task: "asyncio.Task[None]") -> BaseException | None:
    return asyncio.CancelledError() if task.cancelled() else task.exception()


async def _patiently(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """In a database thread; while the database is away, again and again for some seconds."""
    pause = FIRST_WRITE_PAUSE_SECONDS
    for _ in range(WRITE_TRIES - 1):
        try:
            return await in_database_thread(function, *args, **kwargs)
        except DATABASE_TROUBLE as error:
            logger.warning("The database does not answer, tried again in %.1f s: %s", pause, error)
        await asyncio.sleep(pause)
        pause = min(2 * pause, LONGEST_WRITE_PAUSE_SECONDS)
    return await in_database_thread(function, *args, **kwargs)
