"""Frames as a page gets them: larger ones come in parts."""

import json
from typing import Any

from chatapp.protocol import MAX_SENT_BYTES


class FrameJoiner:
    """One socket's. Holds every WebSocket message to the bound of the protocol."""

    def __init__(self) -> None:
        self.largest_bytes = 0
        self._pieces: dict[int, list[str]] = {}

    def take(self, text: str) -> dict[str, Any] | None:
        """The frame that is whole with this message; None while more of it is to come."""
        size = len(text.encode())
        self.largest_bytes = max(self.largest_bytes, size)
        assert size <= MAX_SENT_BYTES, f"a message of {size} bytes: {text[:80]}"
        frame: dict[str, Any] = json.loads(text)
        if frame["type"] != "frame.part":
            return frame
        pieces = self._pieces.setdefault(frame["frame"], [])
        pieces.append(frame["text"])
        assert frame["part"] == len(pieces)
        if frame["part"] < frame["parts"]:
            return None
        whole: dict[str, Any] = json.loads("".join(self._pieces.pop(frame["frame"])))
        return whole
