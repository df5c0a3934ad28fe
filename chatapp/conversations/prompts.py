"""The only builder of a conversation's prompt. It gives the blocks; `warmcache` places the breakpoints.

Nothing volatile (time, user name, place) goes in here: one changed byte makes everything behind it cold.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from chatapp.conversations.branches import branch_of, tree_of
from chatapp.models import Assistant, Attachment, Conversation, Message
from warmcache.core.prefix import Json, Prompt, Turn

MIN_THINKING_BUDGET_TOKENS = 1024
CACHED_DOCUMENT = '<document title="{title}">\n{text}\n</document>'


def prompt_for_new_chat(assistant: Assistant, attachments: Sequence[Attachment] = ()) -> Prompt:
    """What the first message of a chat with this assistant will follow."""
    return _prompt(assistant, history=(), draft=attachment_blocks(attachments))


def prompt_for_next_message(conversation: Conversation, attachments: Sequence[Attachment] = ()) -> Prompt:
    """What the next message of this conversation will follow: history up to the last finished reply."""
    history = _turns(branch_of(conversation))
    return _prompt(conversation.assistant, history=history, draft=attachment_blocks(attachments))


def prompt_and_turn(message: Message) -> tuple[Prompt, tuple[Json, ...]]:
    """The request that answers a stored person's message: what it follows, and its own text."""
    conversation = message.conversation
    earlier = _ancestors(message)
    draft, turn = _split(message.content)
    return _prompt(conversation.assistant, history=_turns(earlier), draft=draft), turn


def message_content(text: str, attachments: Sequence[Attachment], *, edit_of: Message | None = None) -> list[Json]:
    """API blocks of a person's message: attachments first, so that they can be read while the question is typed.

    An edited text keeps what was attached to the first one.
    """
    text_blocks = [{"type": "text", "text": text}] if text.strip() else []
    kept = [] if edit_of is None else [block for block in edit_of.content if block.get("type") != "text"]
    return [*kept, *attachment_blocks(attachments), *text_blocks]


def attachment_blocks(attachments: Iterable[Attachment]) -> tuple[Json, ...]:
    return tuple(
        {
            "type": "document",
            "title": attachment.name,
            "source": {"type": "text", "media_type": "text/plain", "data": attachment.text},
        }
        for attachment in attachments
    )


def _prompt(assistant: Assistant, *, history: tuple[Turn, ...], draft: tuple[Json, ...]) -> Prompt:
    return Prompt(
        model=assistant.model,
        system=tuple(_system_blocks(assistant)),
        tools=tuple(assistant.tools),
        history=history,
        draft=draft,
        shared_ttl=assistant.shared_ttl,  # type: ignore[arg-type]
        conversation_ttl=assistant.conversation_ttl,  # type: ignore[arg-type]
        thinking=_thinking(assistant),
        effort=assistant.effort or None,
        output_format={"type": "json_schema", "schema": assistant.output_schema} if assistant.output_schema else None,
    )


def _system_blocks(assistant: Assistant) -> Iterable[Json]:
    if assistant.system_prompt.strip():
        yield {"type": "text", "text": assistant.system_prompt}
    for document in assistant.documents.all():
        yield {"type": "text", "text": CACHED_DOCUMENT.format(title=document.title, text=document.text)}


def _thinking(assistant: Assistant) -> Json | None:
    match assistant.thinking:
        case "":
            return None
        case "adaptive":
            # Newer models show nothing of their thinking unless asked to.
            return {"type": "adaptive", "display": "summarized"}
        case "enabled":
            budget = max(MIN_THINKING_BUDGET_TOKENS, assistant.max_output_tokens // 2)
            return {"type": "enabled", "budget_tokens": budget}
        case kind:
            return {"type": kind}


def _ancestors(message: Message) -> list[Message]:
    if message.parent_id is None:
        return []
    return tree_of(message.conversation_id).path_to(message.parent_id)


def _turns(messages: Iterable[Message]) -> tuple[Turn, ...]:
    turns = []
    for message in messages:
        blocks = tuple(message.content if message.role == Message.Role.USER else _said(message))
        if blocks:
            turns.append(Turn(role="user" if message.role == Message.Role.USER else "assistant", blocks=blocks))
    return tuple(turns)


def _said(reply: Message) -> Iterable[Json]:
    """The text of an ended reply. Thinking is not sent back; a tool call that nobody answered cannot be."""
    if reply.status == Message.Status.STREAMING:
        return
    for block in reply.content:
        if block.get("type") == "text" and str(block.get("text", "")).strip():
            yield {"type": "text", "text": block["text"]}


def _split(content: Sequence[dict[str, Any]]) -> tuple[tuple[Json, ...], tuple[Json, ...]]:
    is_text = [block.get("type") == "text" for block in content]
    first_text = is_text.index(True) if True in is_text else max(len(content) - 1, 0)
    return tuple(content[:first_text]), tuple(content[first_text:])
