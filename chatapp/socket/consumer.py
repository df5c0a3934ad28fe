"""The consumer of a tab's socket: a frame comes in, a service is called, a frame goes out."""

import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any
from uuid import UUID

from chatapp import events, protocol
from chatapp.conversations import access, conversations, lists, search
from chatapp.conversations.acks import message_created
from chatapp.models import QueuedMessage, User
from chatapp.protocol import limits
from chatapp.replies import actions, pending, registry, resume
from chatapp.replies.patient_writes import DATABASE_TROUBLE
from chatapp.replies.readers import ReplyReaders
from chatapp.replies.sent_messages import Resent, Sent
from chatapp.socket import conversation_states, history
from chatapp.socket.session import SignedInSocket
from chatapp.warming.typing import Draft, TypingWatch
from chatapp.warming.warmth_reports import WarmthReports
from warmcache.background.database import in_database_thread

logger = logging.getLogger(__name__)


_READERS: Mapping[type[protocol.ClientFrame], Callable[[User, Any], protocol.ServerFrame]] = {
    protocol.HistoryLoad: history.load,
    protocol.ConversationsLoad: lists.page,
    protocol.SearchAsk: search.look,
}
"""What answers a question from the database's rows, in a database thread."""


class ChatConsumer(SignedInSocket):
    """Handlers return soon: long work runs in tasks of the readers and reports, or of the process."""

    async def begin(self) -> None:
        self.opened: OrderedDict[UUID, None] = OrderedDict()
        self.readers = ReplyReaders(self.send_reply_frame, self.send_reply_frame_now, self.begin_anew)
        self.watch = TypingWatch(self.user)
        self.warmth = WarmthReports(self.send_frame, self.watch)
        await self.channel_layer.group_add(events.user_group(self.user.pk), self.channel_name)

    @property
    def is_reading(self) -> bool:
        return self.readers.are_reading

    async def end(self) -> None:
        await self.readers.close()
        await self.warmth.close()
        await self.channel_layer.group_discard(events.user_group(self.user.pk), self.channel_name)

    async def take(self, frame: protocol.ClientFrame) -> None:
        match frame:
            case protocol.ConversationOpen():
                await self.open(frame)
            case protocol.TypingStarted():
                await self.warmth.note_typing(
                    Draft(
                        conversation_id=frame.conversation_id,
                        assistant_id=None if frame.conversation_id else _number(frame.assistant_id),
                        attachment_ids=tuple(frame.attachment_ids),
                        edit_of=frame.edit_of if frame.conversation_id else None,
                    ),
                    chars=frame.chars,
                )
            case protocol.TypingStopped():
                """Nothing to undo: a warm-up that is under way is paid for."""
            case protocol.MessageSend():
                await self.send_message(frame)
            case protocol.BranchSelect():
                await self.select(frame)
            case protocol.HistoryLoad() | protocol.ConversationsLoad() | protocol.SearchAsk():
                await self.send_frame(await in_database_thread(_READERS[type(frame)], self.user, frame))
            case protocol.ReplySeen():
                await actions.note_seen(self.user, frame.reply_id, browser_ttft_ms=frame.ttft_ms)
            case protocol.Ping():
                """Answered by `SignedInSocket`, whether or not this one's turn has come."""
            case _:
                await self.command(frame)

    async def command(self, frame: protocol.ClientFrame) -> None:
        """The commands of buttons on a reply or on a waiting message."""
        match frame:
            case protocol.QueueWithdraw():
                await self.send_frame(await actions.withdraw(self.user, frame.message_id))
            case protocol.QueueSend():
                await actions.send_queued(self.user, frame.message_id)
            case protocol.ReplyStop():
                await actions.stop(self.user, frame.reply_id)
            case protocol.ReplyRegenerate():
                await actions.regenerate(self.user, frame.reply_id)
            case protocol.ToolAnswer():
                await actions.answer_tool(self.user, frame)
            case protocol.ConversationRead():
                await self.note_read(frame.conversation_id)

    async def open(self, frame: protocol.ConversationOpen) -> None:
        self.window.clear()
        if frame.conversation_id is None:
            state = await conversation_states.open_new_chat(self.user, _number(frame.assistant_id))
            await self.send_frame(state)
            self.warmth.note_opened(Draft(assistant_id=state.assistant.id))
            return
        # Events of its user that come meanwhile are handled after this. They count only for conversations in `opened`,
        # which holds only those known to be the user's own.
        try:
            opened = await conversation_states.open_conversation(self.user, frame.conversation_id, frame.cursor)
        except Exception:
            self.opened.pop(frame.conversation_id, None)
            raise
        self.keep_open(frame.conversation_id)
        await self.show(opened)
        if opened.has_left_behind:
            await actions.go_on(frame.conversation_id)
        draft = Draft(conversation_id=frame.conversation_id)
        if frame.cursor is None and opened.state.reply is None:
            self.warmth.note_opened(draft)
        else:
            # No new visit: a connection came back, or a reply is being written, whose own request warms the prefix.
            self.warmth.refresh(draft)

    async def show(self, opened: conversation_states.Opened) -> None:
        await self.send_frame(opened.state)
        self.readers.know(m.id for m in opened.state.messages if m.status != "streaming")
        if opened.log is not None:
            await self.readers.resume(opened.log, after_seq=opened.after_seq)

    async def begin_anew(self, conversation_id: UUID, reply_id: UUID) -> None:
        """Sends the state and then the rest or the end: a reply's frames cannot continue from this socket's cursor."""
        if conversation_id not in self.opened:
            return
        try:
            opened = await conversation_states.open_conversation(self.user, conversation_id, None)
            end = await conversation_states.end_of(self.user, reply_id) if opened.log is None else None
        except DATABASE_TROUBLE as error:
            logger.warning("What became of reply %s is told later: %s", reply_id, error)
            lost = {"type": "reply.lost", "conversation_id": str(conversation_id), "reply_id": str(reply_id)}
            self.make_up(reply_id, partial(self.hear, self.reply_lost, lost))
            return
        await self.show(opened)
        if end is not None:
            await self.send_frame(end)

    async def select(self, frame: protocol.BranchSelect) -> None:
        """Other tabs get an event and open the conversation again; this one gets the branch at once."""
        await actions.select_branch(self.user, frame.conversation_id, frame.message_id)
        self.watch.forget(frame.conversation_id)
        await self.open(protocol.ConversationOpen(conversation_id=frame.conversation_id, cursor=frame.cursor))

    async def note_read(self, conversation_id: UUID) -> None:
        news = await in_database_thread(conversations.note_read, self.user, conversation_id)
        if news is None:
            raise access.NotFound("conversation")
        await conversations.tell(news)

    async def send_message(self, frame: protocol.MessageSend) -> None:
        sent = await actions.send_message(self.user, frame, origin=self.channel_name)
        if isinstance(sent, QueuedMessage):
            self.keep_open(sent.conversation_id)
            await self.send_frame(pending.answer_to(sent))
            return
        conversation_id = sent.message.conversation_id
        knows_reply = isinstance(sent, Resent) and conversation_id in self.opened
        self.keep_open(conversation_id)
        await self.send_frame(message_created(sent.message))
        if isinstance(sent, Sent) and sent.nearly_met:
            await self.send_frame(protocol.Quota(limits=list(sent.nearly_met)))
        if not knows_reply:
            await self.read_reply(conversation_id, sent.reply.pk)

    async def read_reply(self, conversation_id: UUID, reply_id: UUID) -> None:
        """Reads a reply from its beginning; a short one may have ended already, and its log may be gone."""
        log = await resume.log_for(reply_id, user_id=self.user.pk)
        if log is not None:
            self.readers.start(log)
        else:
            await self.begin_anew(conversation_id, reply_id)

    # Events of the channel layer

    async def reply_lost(self, event: dict[str, Any]) -> None:
        """Does what `begin_anew` could not do at once."""
        await self.begin_anew(UUID(event["conversation_id"]), UUID(event["reply_id"]))

    async def conversation_updated(self, event: events.ConversationEvent) -> None:
        conversation_id = UUID(event["conversation_id"])
        self.watch.forget(conversation_id)
        is_open = conversation_id in self.opened
        begun = event.get("begun") if is_open else None
        if begun and begun["frame"] and begun["origin"] != self.channel_name:
            await self.send_text(begun["frame"])
        await self.send_text(event["frame"] if is_open else event["light_frame"])
        if is_open and event.get("also"):
            await self.send_text(event["also"])
        if begun:
            await self.read_reply(conversation_id, UUID(begun["reply_id"]))
        # While a reply is written, its own request warms the prefix, and reading the whole prompt would delay it.
        is_written = event["is_written"] or registry.is_writing_in(conversation_id)
        if is_open and not is_written:
            self.warmth.refresh(Draft(conversation_id=conversation_id), version=event["version"])

    async def conversation_deleted(self, event: events.DeletionEvent) -> None:
        conversation_id = UUID(event["conversation_id"])
        self.watch.forget(conversation_id)
        registry.stop_in(conversation_id)
        self.opened.pop(conversation_id, None)
        await self.send_frame(protocol.ConversationUpdated(conversation=conversations.deleted_view(conversation_id)))

    async def news_missed(self, event: dict[str, Any]) -> None:
        """The channel layer was unavailable."""
        await self.read_again(event)

    async def read_again(self, event: dict[str, Any]) -> None:
        """Sends what the page shows again, after the end of any reply that it reads."""
        if self.is_reading:
            self.make_up_news()
        elif self.opened and not self.is_closing:
            await self.show(await conversation_states.open_conversation(self.user, next(reversed(self.opened)), None))

    def keep_open(self, conversation_id: UUID) -> None:
        """From now on its events are shown here; beyond the limit, drops the one opened longest ago."""
        self.opened[conversation_id] = None
        self.opened.move_to_end(conversation_id)
        while len(self.opened) > limits.LIMITS["open_conversations"]:
            self.opened.popitem(last=False)


def _number(assistant_id: int | str | None) -> int | None:
    return None if assistant_id is None else int(assistant_id)
