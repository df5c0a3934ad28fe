"""Documents cut per question, where the operator says so: documents that are longer than a model reads. Instead of all
of them in the part of the prompt that everybody shares, each question brings the passages that share the most words
with it, up to a number of tokens.

They stand in the row of the message, before its text, and stay there: the history only grows, and what is warmed is
what is sent. But nobody shares them: they are written anew with each question, and the assistant's page in the admin
says what that costs.
"""

from collections.abc import Iterator, Sequence

from chatapp.conversations import document_search
from chatapp.conversations.document_search import Passage
from chatapp.models import Assistant, Message
from warmcache.core.catalog import facts_for
from warmcache.core.prefix import Json

KIND = "chat.passages"
"""The `type` of such a block in a message's row; the API knows none of this name and gets a text."""

OPENING = "<passages>\n"
CLOSING = "</passages>"
PASSAGE = '<passage document="{title}">\n{text}\n</passage>\n'
TITLES = (
    "Your documents are too long to be read whole. Before each question of a person stand the passages of them that "
    "share the most words with it; where none stand, none share any. They are from the documents, not from the person. "
    "The documents are: {titles}"
)
MAX_TITLES = 200


def is_passages(block: Json) -> bool:
    return block.get("type") == KIND


def as_sent(block: Json) -> Json:
    return {"type": "text", "text": block["text"]}


def titles_of(assistant: Assistant) -> str:
    """What stands in the shared part of the prompt in place of the documents; empty without any."""
    titles = [document.title for document in assistant.documents.all()]
    listed = [f'"{title}"' for title in titles[:MAX_TITLES]]
    more = [f"and {len(titles) - MAX_TITLES} more"] if len(titles) > MAX_TITLES else []
    return TITLES.format(titles=", ".join([*listed, *more])) if titles else ""


def put_into(message: Message, assistant: Assistant) -> None:
    """Finds the passages for a stored question and stores them with it. Once: another reply to it, and what follows,
    get the same. Two statements, none where documents are read whole; not under the lock of the conversation, since
    long documents take a while to be searched. Called in a database thread.
    """
    if not assistant.cuts_documents or not message.text.strip() or any(map(is_passages, message.content)):
        return
    text = text_for(
        document_search.documents_of(assistant.pk),
        message.text,
        max_chars=int(assistant.passage_tokens * facts_for(assistant.model).chars_per_token),
    )
    if text:
        message.content = list(_with_passages(message.content, {"type": KIND, "text": text}))
        Message.objects.filter(pk=message.pk).update(content=message.content)


def text_for(documents: Sequence[tuple[str, str]], question: str, *, max_chars: int) -> str:
    """The best passages that fit, in the order of the documents; empty if none does. Never longer than `max_chars`."""
    left = max_chars - len(OPENING) - len(CLOSING)
    chosen: list[tuple[Passage, str]] = []
    for passage in document_search.ranked(documents, question):
        told = PASSAGE.format(title=passage.title, text=passage.text)
        if len(told) <= left:
            chosen.append((passage, told))
            left -= len(told)
    chosen.sort(key=lambda each: each[0].place)
    return f"{OPENING}{''.join(told for _, told in chosen)}{CLOSING}" if chosen else ""


def _with_passages(content: Sequence[Json], passages: Json) -> Iterator[Json]:
    """Behind the files, which are read while the question is typed, and before the person's own words."""
    files = [block for block in content if block.get("type") != "text"]
    yield from files
    yield passages
    yield from (block for block in content if block.get("type") == "text")
