"""Reads conversations from an archive, as a program of its own: `python -I archive_reader.py < file`.

It knows this project's own JSON, and the exports of ChatGPT and of Claude: their `conversations.json`, alone or in the
ZIP file that they send. A malicious file can use no more than the limits of this process. The program does not use
Django. It prints one JSON object a line for each conversation: `title`, `updated_at` (epoch seconds or null), and
`messages` of its last shown branch, each with `role`, `text` and `created_at`; without system and tool turns. It exits
with 0, or with one of the codes below.
"""

import contextlib
import io
import json
import resource
import sys
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

UNREADABLE = 4
UNKNOWN = 5
TOO_LARGE = 6

CPU_SECONDS = 20
MEMORY_BYTES = 1024**3
UNPACKED_BYTES = 96 * 1024**2
OUTPUT_BYTES = 48 * 1024**2
MAX_ENTRIES = 20_000
MAX_CONVERSATIONS = 5_000
MAX_MESSAGES = 2_000
"""Of one conversation: the newest."""
MAX_CHARS = 200_000
MAX_TITLE_CHARS = 120

OWN_FORMAT = "warmcache.conversation"
WANTED = "conversations.json"
ROLES = {"user": "user", "human": "user", "assistant": "assistant"}

Json = Any
Said = tuple[Json, Json, float | None]
"""Role, text, time, the first two of any type."""


class Unknown(Exception):
    """JSON, but of no format that is known here."""


class TooLarge(Exception):
    """More than is read."""


def limit_self() -> None:
    """The system ends a process that exceeds these limits."""
    limits = (
        (resource.RLIMIT_CPU, CPU_SECONDS),
        (resource.RLIMIT_AS, MEMORY_BYTES),
        (resource.RLIMIT_FSIZE, OUTPUT_BYTES),
        (resource.RLIMIT_CORE, 0),
    )
    for what, limit in limits:
        with contextlib.suppress(ValueError, OSError):  # a system without this limit
            resource.setrlimit(what, (limit, limit))


def unpacked(data: bytes) -> bytes:
    """The JSON text: the file itself, or the one entry of a ZIP file that holds the conversations."""
    if not data.startswith(b"PK"):
        return data
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = archive.infolist()
        if len(entries) > MAX_ENTRIES:
            raise TooLarge
        entry = next((each for each in entries if each.filename.rsplit("/", 1)[-1] == WANTED), None)
        if entry is None:
            raise Unknown
        with archive.open(entry) as file:
            text = file.read(UNPACKED_BYTES + 1)  # what the entry says of its size may be wrong
    if len(text) > UNPACKED_BYTES:
        raise TooLarge
    return text


def conversations_in(found: Json) -> Iterator[dict[str, Json]]:
    listed = found if isinstance(found, list) else [found]
    if len(listed) > MAX_CONVERSATIONS:
        raise TooLarge
    for conversation in listed:
        if not isinstance(conversation, dict):
            raise Unknown
        title, updated_at, said = read_one(conversation)
        messages = alternating(said)[-MAX_MESSAGES:]
        if messages and messages[0]["role"] != "user":
            messages.pop(0)
        if messages:
            yield {"title": str(title or "")[:MAX_TITLE_CHARS], "updated_at": updated_at, "messages": messages}


def read_one(conversation: Mapping[str, Json]) -> tuple[Json, float | None, Iterable[Said]]:
    if conversation.get("format") == OWN_FORMAT:
        return conversation.get("title"), None, own(conversation)
    if isinstance(conversation.get("mapping"), dict):
        return conversation.get("title"), seconds(conversation.get("update_time")), chatgpt(conversation)
    if isinstance(conversation.get("chat_messages"), list):
        return conversation.get("name"), seconds(conversation.get("updated_at")), claude(conversation)
    raise Unknown


def own(conversation: Mapping[str, Json]) -> Iterator[Said]:
    for message in conversation.get("messages") or []:
        if message.get("is_shown", True):
            yield message.get("role"), message.get("text"), seconds(message.get("created_at"))


def chatgpt(conversation: Mapping[str, Json]) -> Iterator[Said]:
    """From the current end up to the root: the branch that was shown last."""
    nodes, node_id = conversation["mapping"], conversation.get("current_node")
    path: list[Said] = []
    seen = set()
    while node_id in nodes and node_id not in seen:
        seen.add(node_id)
        node = nodes[node_id]
        message = node.get("message") or {}
        content, metadata = message.get("content") or {}, message.get("metadata") or {}
        is_text = content.get("content_type") in ("text", "multimodal_text")
        if is_text and not metadata.get("is_visually_hidden_from_conversation"):
            parts = [part for part in content.get("parts") or [] if isinstance(part, str)]
            role = (message.get("author") or {}).get("role")
            path.append((role, "\n\n".join(parts), seconds(message.get("create_time"))))
        node_id = node.get("parent")
    yield from reversed(path)


def claude(conversation: Mapping[str, Json]) -> Iterator[Said]:
    for message in conversation["chat_messages"]:
        blocks = message.get("content") or []
        texts = [block.get("text") for block in blocks if isinstance(block, dict) and block.get("type") == "text"]
        text = "\n\n".join(text for text in texts if isinstance(text, str)) or message.get("text")
        yield message.get("sender"), text, seconds(message.get("created_at"))


def alternating(said: Iterable[Said]) -> list[dict[str, Json]]:
    """Messages of the person and of the assistant by turns: what follows one of the same role belongs to it."""
    messages: list[dict[str, Json]] = []
    for role, text, at in said:
        known = ROLES.get(role) if isinstance(role, str) else None
        if known is None or not isinstance(text, str) or not text.strip():
            continue
        if messages and messages[-1]["role"] == known:
            messages[-1]["text"] = f"{messages[-1]['text']}\n\n{text}"[:MAX_CHARS]
        else:
            messages.append({"role": known, "text": text[:MAX_CHARS], "created_at": at})
    return messages


def seconds(time: Json) -> float | None:
    """Epoch seconds of a number or of an ISO time."""
    if isinstance(time, int | float) and 0 < time < 4e9:
        return float(time)
    try:
        return datetime.fromisoformat(time).timestamp()
    except (TypeError, ValueError, OverflowError):
        return None


def whole(conversation: dict[str, Json]) -> dict[str, Json]:
    text = json.dumps(conversation, ensure_ascii=False)
    found: dict[str, Json] = json.loads(text.encode("utf-8", "replace"))
    return found


def main() -> None:
    limit_self()
    try:
        found = json.loads(unpacked(sys.stdin.buffer.read()))
        # Half a character is nothing that the other side could read.
        lines = [json.dumps(whole(conversation)) for conversation in conversations_in(found)]
    except Unknown:
        sys.exit(UNKNOWN)
    except TooLarge:
        sys.exit(TOO_LARGE)
    except Exception:  # noqa: BLE001  every failure of a damaged file gets the same answer
        sys.exit(UNREADABLE)
    sys.stdout.write("\n".join(lines))


if __name__ == "__main__":
    main()
