"""The frames between page and server, and the limits that both keep. See `PROTOCOL.md`."""

from chatapp.protocol.frames import *  # noqa: F403  callers write `protocol.MessageSend`
from chatapp.protocol.parts import *  # noqa: F403
