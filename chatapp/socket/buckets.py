"""Rate limits of one socket. Separate token buckets, so that typing or acks never use up what commands need."""

from collections.abc import Callable

from chatapp import protocol
from chatapp.protocol.limits import LIMITS, STRIKES_TO_CLOSE
from chatapp.protocol.words import ErrorCode
from chatapp.quotas.token_bucket import TokenBucket


class SocketBuckets:
    """The token buckets of one socket."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._commands = TokenBucket(
            capacity=LIMITS["command_burst"], per_second=LIMITS["commands_per_second"], clock=clock
        )
        self._typing = TokenBucket(capacity=LIMITS["typing_burst"], per_second=LIMITS["typing_per_second"], clock=clock)
        self._acks = TokenBucket(capacity=LIMITS["ack_burst"], per_second=LIMITS["acks_per_second"], clock=clock)
        self._frames = TokenBucket(capacity=LIMITS["frame_burst"], per_second=LIMITS["frames_per_second"], clock=clock)
        self._strikes = TokenBucket(capacity=STRIKES_TO_CLOSE, per_second=LIMITS["commands_per_second"], clock=clock)

    def admits_another(self) -> bool:
        """Counts a frame of any kind before it is decoded; False if there are more than any person could send."""
        return self._frames.take()

    def admits(self, frame: protocol.ClientFrame) -> bool:
        """False drops the frame: excess typing and ack frames are hints that later ones replace.

        Raises `FrameError` for an excess command.
        """
        match frame:
            case protocol.TypingStarted() | protocol.TypingStopped():
                return self._typing.take()
            case protocol.ReplySeen() | protocol.Ping():
                return self._acks.take()
        if not self._commands.take():
            raise protocol.FrameError(
                ErrorCode.RATE_LIMITED,
                "Too many requests at once. Wait a moment.",
                protocol.ref_of(frame),
            )
        return True

    def strike(self) -> bool:
        """Counts a refused frame; False if the socket must be closed."""
        return self._strikes.take()
