"""The kinds of content blocks in a response."""

from typing import Literal

from warmcache.core.wording import Worded, gettext_noop


class BlockKind(Worded):
    """What a block is to those who show it or store it. The API's own types are more, and new ones come."""

    TEXT = "text", gettext_noop("text")
    THINKING = "thinking", gettext_noop("thinking")
    TOOL_INPUT = "tool_input", gettext_noop("a tool call, including tools that the provider runs")
    OTHER = "other", gettext_noop("a block without text that streams, or an unknown one")


DeltaKind = Literal[BlockKind.TEXT, BlockKind.THINKING, BlockKind.TOOL_INPUT]
"""The kinds whose text streams."""
