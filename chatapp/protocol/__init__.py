"""The frames between page and server, and the bounds that both keep. See `PROTOCOL.md`."""

from chatapp.protocol.frames import *  # noqa: F403  `protocol.MessageSend` is what everybody says
from chatapp.protocol.parts import *  # noqa: F403
