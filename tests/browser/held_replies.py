"""Replies that begin and then hang, so that a test can do things in the middle of them and none has to be quick."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from tests.servers.chat_server import SimulatorControl

HoldReply = Callable[[str], AbstractContextManager[None]]
FIRST_TOKENS = 64
"""What still arrives: about fifty words."""


def begin_and_hang(simulator: SimulatorControl, text: str) -> None:
    """The next reply shows its first words and then nothing more, until it is stopped or released."""
    simulator.script(text=text)
    simulator.fault(kind="stall", where="after_first_token", match="reply", after_tokens=FIRST_TOKENS)


@contextmanager
def hold_reply(simulator: SimulatorControl, text: str) -> Iterator[None]:
    """The next reply shows its first words, and the rest comes after the block."""
    begin_and_hang(simulator, text)
    try:
        yield
    finally:
        simulator.release()
