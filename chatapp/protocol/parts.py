"""Frames to the browser as WebSocket messages: one each, or parts where a frame is too large for one."""

from collections.abc import Iterator

from chatapp.protocol.frames import FramePart, encoder

MAX_SENT_BYTES = 512 * 1024
"""Of a WebSocket message to the browser: a larger frame goes in parts."""
MAX_UTF8_BYTES = 4
"""Of one character."""
PART_BYTES = 240 * 1024
"""Of a frame in one of its parts. As a JSON string it may take twice as much, and stays below the bound."""


def parts_of(text: str, *, number: int) -> list[str]:
    """The texts of the WebSocket messages that carry an encoded frame: one, or its parts where it is larger than
    `MAX_SENT_BYTES`. `number` tells it apart from the other frames of its socket."""
    if len(text) <= MAX_SENT_BYTES // MAX_UTF8_BYTES:
        return [text]
    raw = text.encode()
    if len(raw) <= MAX_SENT_BYTES:
        return [text]
    pieces = list(_pieces(raw))
    return [
        _bounded(FramePart(frame=number, part=part, parts=len(pieces), text=piece))
        for part, piece in enumerate(pieces, start=1)
    ]


def _pieces(raw: bytes) -> Iterator[str]:
    """UTF-8 cut between two characters."""
    start = 0
    while start < len(raw):
        end = min(start + PART_BYTES, len(raw))
        while end < len(raw) and raw[end] & 0xC0 == 0x80:
            end -= 1
        yield raw[start:end].decode()
        start = end


def _bounded(part: FramePart) -> str:
    raw = encoder.encode(part)
    if len(raw) > MAX_SENT_BYTES:
        raise ValueError(f"A part of a frame takes {len(raw)} bytes.")
    return raw.decode()
