"""Frames to the browser as WebSocket messages: one per frame, or several parts if a frame is too large."""

from collections.abc import Iterator

from chatapp.protocol.frames import FramePart, encoder

MAX_SENT_BYTES = 512 * 1024
"""The largest WebSocket message to the browser: a larger frame is sent in parts."""
MAX_UTF8_BYTES = 4
"""The most bytes of one character."""
PART_BYTES = 240 * 1024
"""Bytes of the frame in one part. As a JSON string they may double, and still stay below the limit."""


def parts_of(text: str, *, number: int) -> list[str]:
    """The texts of the WebSocket messages that carry an encoded frame: one, or its parts if it is larger than
    `MAX_SENT_BYTES`. `number` is unique among the frames of its socket."""
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
    """Cuts UTF-8 between two characters."""
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
