"""The only builder of a conversation's prompt, from rows that the caller has read and the files that they name. It
returns the blocks; `warmcache` places the breakpoints, and `prepared_conversations` keeps the result.

A prompt must hold nothing volatile (time, user name, place): one changed byte makes everything behind it cold.
"""

import hashlib
from collections.abc import Iterable, Sequence
from itertools import chain, groupby

from chatapp.conversations import attached_texts, question_passages, reply_states, summaries, toolbox
from chatapp.conversations.storable import storable_json
from chatapp.models import Assistant, Attachment, Message, Summary
from chatapp.protocol.words import ReplyStatus
from warmcache.core.answers import parsed_input
from warmcache.core.prefix import Json, PreparedPrompt, Prompt, Turn, exchange_turns, text_turn

MIN_THINKING_BUDGET_TOKENS = 1024
SALT = "<salt>{salt}</salt>"
INSTRUCTIONS = "<standing_instructions>\n{text}\n</standing_instructions>"
CACHED_DOCUMENT = '<document title="{title}">\n{text}\n</document>'


def prompt_for_new_chat(assistant: Assistant, attachments: Sequence[Attachment] = ()) -> Prompt:
    """What the first message of a chat with this assistant will follow."""
    return Prompt(
        model=assistant.model,
        system=tuple(_system_blocks(assistant)),
        tools=tuple(toolbox.definitions(assistant)),
        draft=attachment_blocks(attachments),
        shared_ttl=assistant.shared_ttl,  # type: ignore[arg-type]
        conversation_ttl=assistant.conversation_ttl,  # type: ignore[arg-type]
        thinking=_thinking(assistant),
        effort=assistant.effort or None,
    )


def personal(prompt: PreparedPrompt, *, cache_salt: str, instructions: str) -> PreparedPrompt:
    """What a person's messages follow: the assistant's prompt, then the person's salt, then what the person wants in
    each conversation. Conversations that are older than salts have none while they are warm."""
    parts = (SALT.format(salt=cache_salt) if cache_salt else "", stated(instructions))
    opening = "\n".join(part for part in parts if part)
    return prompt.with_salt(opening) if opening else prompt


def stated(instructions: str) -> str:
    return INSTRUCTIONS.format(text=instructions) if instructions else ""


def history_hash(prompt: PreparedPrompt, instructions: str) -> str:
    """Of everything that stands before a history and can change: where it is another one, a new version of the history
    begins. A salt never changes."""
    if not instructions:
        return prompt.shared_hash
    return hashlib.sha256(f"{prompt.shared_hash}\n{instructions}".encode()).hexdigest()


def turns_of(messages: Sequence[Message], *, shared_hash: str, summary: Summary | None = None) -> tuple[Turn, ...]:
    """Messages in order, as the history of a prompt. A reply that is still being written is left out, and so is a
    refused turn with its question: the provider would refuse what follows it, too. A `summary` that is in use on this
    path stands for what it summarises.

    A reply goes back whole only within one version of the history: where it followed the same `shared_hash` (with
    another model or API key, edited instructions or tools, the provider would refuse its signatures; see
    `history_hash`), no later turn was left out, and no summary has come into use since. Of earlier versions only the
    text is sent.
    """
    if summary is not None:
        return _turns_after(summary, messages, shared_hash)
    said, whole_from = _said(messages)
    return _turns(said, whole_from, shared_hash)


def _turns_after(summary: Summary, messages: Sequence[Message], shared_hash: str) -> tuple[Turn, ...]:
    ids = [message.pk for message in messages]
    ends = ids.index(summary.through_id) + 1
    said, whole_from = _said(messages[ends:])
    # Whether a signature holds depends on what stood before it.
    used_from = summary.used_from_id
    before_use = set(ids if used_from is None else ids[: ids.index(used_from) + 1])
    whole_from = max(whole_from, sum(message.pk in before_use for message in said))
    return (summaries.turn_for(summary, messages[:ends]), *_turns(said, whole_from, shared_hash))


def _turns(said: Sequence[Message], whole_from: int, shared_hash: str) -> tuple[Turn, ...]:
    contents = attached_texts.put_in([message.content for message in said])
    turns = (
        (asked(content),)
        if message.role == Message.Role.USER
        else answered(content, is_whole=place >= whole_from and message.shared_hash == shared_hash)
        for place, (message, content) in enumerate(zip(said, contents, strict=True))
    )
    return tuple(turn for turn in chain.from_iterable(turns) if turn is not None)


def _said(messages: Iterable[Message]) -> tuple[list[Message], int]:
    """The messages that are sent, and where among them the present version of the history begins."""
    said: list[Message] = []
    begins_at = 0
    for message in messages:
        consequence = reply_states.consequence_of(ReplyStatus(message.status), message.stop_reason)
        if consequence.leaves_question_out and said and said[-1].role == Message.Role.USER:
            said.pop()
        if consequence.leaves_question_out:
            begins_at = len(said)
        if consequence.is_said:
            said.append(message)
    return said, begins_at


def asked(content: Sequence[Json]) -> Turn | None:
    """A person's message as a turn."""
    return Turn(role="user", blocks=tuple(content)) if content else None


def answered(content: Sequence[Json], *, is_whole: bool) -> tuple[Turn, ...]:
    """An ended reply as turns, from the blocks in its row: with all that the API takes back, or only its text."""
    if is_whole:
        return exchange(content)
    turn = text_turn(content)
    return () if turn is None else (turn,)


def exchange(content: Sequence[Json], *, is_open: bool = False) -> tuple[Turn, ...]:
    """The turns of a reply: what the model said and, between that, what it was told (results of tools, notes).
    `is_open`: it is to be continued."""
    spoken = (block for block in api_content(content) if block.get("type") not in toolbox.UNSENT)
    turns = (
        Turn(role="user" if is_told else "assistant", blocks=tuple(_as_sent(block) for block in blocks))
        for is_told, blocks in groupby(spoken, key=lambda block: block.get("type") in (toolbox.RESULT, toolbox.NOTE))
    )
    return exchange_turns(tuple(turns), is_open=is_open)


def _as_sent(block: Json) -> Json:
    return {"type": "text", "text": block["text"]} if block.get("type") == toolbox.NOTE else block


def api_content(stored: Sequence[Json]) -> list[Json]:
    """The blocks of a row as the API has them: the input of tool calls parsed, or null where it broke off. Of a block
    of which only the page's view was kept, the text."""
    whole = (_uncut(block) if "is_cut" in block else block for block in stored)
    return [_with_input(block) if "input_json" in block else block for block in whole if block]


def _uncut(block: Json) -> Json | None:
    return {"type": "text", "text": block["text"]} if block.get("type") == "text" else None


def _with_input(block: Json) -> Json:
    kept = {name: value for name, value in block.items() if name != "input_json"}
    text = block["input_json"]
    return {**kept, "input": storable_json(parsed_input(text)) if text.strip() else {}}


def draft_and_turn(content: Sequence[Json]) -> tuple[tuple[Json, ...], tuple[Json, ...]]:
    """A person's message, split as in its request: the attachments, and the person's own text."""
    is_text = [block.get("type") == "text" for block in content]
    first_text = is_text.index(True) if True in is_text else max(len(content) - 1, 0)
    return tuple(content[:first_text]), tuple(content[first_text:])


def message_content(text: str, attachments: Sequence[Attachment], *, edit_of: Message | None = None) -> list[Json]:
    """The blocks of a person's message as its row holds them, with references to files. The files come first, so that
    they can be read while the question is typed. An edited text keeps what was attached to the first one.
    """
    text_blocks = [{"type": "text", "text": text}] if text.strip() else []
    kept = [] if edit_of is None else files_in(edit_of.content)
    return [*kept, *map(attached_texts.reference_to, attachments), *text_blocks]


def files_in(content: Iterable[Json]) -> list[Json]:
    """What an edit keeps of a message's row: neither the words, nor the passages that were found for them."""
    return [block for block in content if block.get("type") not in ("text", question_passages.KIND)]


def attachment_blocks(attachments: Iterable[Attachment]) -> tuple[Json, ...]:
    """As they stand in a request; the row of a message holds references."""
    return tuple(attached_texts.document(attachment) for attachment in attachments)


def _system_blocks(assistant: Assistant) -> Iterable[Json]:
    if assistant.system_prompt.strip():
        yield {"type": "text", "text": assistant.system_prompt}
    if assistant.cuts_documents:
        if titles := question_passages.titles_of(assistant):
            yield {"type": "text", "text": titles}
    else:
        for document in assistant.documents.all():
            yield {"type": "text", "text": CACHED_DOCUMENT.format(title=document.title, text=document.text)}
    if assistant.output_schema:
        yield {"type": "text", "text": toolbox.ANSWER_INSTRUCTION}


def _thinking(assistant: Assistant) -> Json | None:
    match assistant.thinking:
        case "":
            return None
        case "adaptive":
            # Newer models do not show their thinking unless asked to.
            return {"type": "adaptive", "display": "summarized"}
        case "enabled":
            budget = max(MIN_THINKING_BUDGET_TOKENS, assistant.max_output_tokens // 2)
            return {"type": "enabled", "budget_tokens": budget}
        case kind:
            return {"type": kind}
