"""The protocol's closed sets of codes, each code with the words that a person sees."""

from warmcache.core.wording import Worded, gettext_noop


class ReplyStatus(Worded):
    """How a reply ended."""

    COMPLETE = "complete", gettext_noop("complete")
    STOPPED = "stopped", gettext_noop("stopped"), gettext_noop("You stopped this reply.")
    INTERRUPTED = (
        "interrupted",
        gettext_noop("interrupted"),
        gettext_noop("This reply was cut off before it was done. What had arrived is kept."),
    )
    FAILED = "failed", gettext_noop("failed"), gettext_noop("This reply failed.")


class ErrorCode(Worded):
    """The code of an `error` frame."""

    BAD_JSON = "bad_json", gettext_noop("not one JSON text")
    BINARY_FRAME = "binary_frame", gettext_noop("bytes instead of text")
    BAD_FRAME = "bad_frame", gettext_noop("JSON, but no object")
    UNKNOWN_TYPE = "unknown_type", gettext_noop("no frame of this protocol")
    BAD_FIELD = "bad_field", gettext_noop("a field is missing or wrong; `message` names it")
    BAD_TEXT = "bad_text", gettext_noop("a NUL or half a character")
    EMPTY_MESSAGE = "empty_message", gettext_noop("neither text nor attachment")
    MESSAGE_TOO_LARGE = "message_too_large", gettext_noop("see the limits")
    NOT_FOUND = "not_found", gettext_noop("there is no such thing, or it is somebody else's")
    REPLY_RUNNING = "reply_running", gettext_noop("a reply is still being written there")
    QUEUE_FULL = "queue_full", gettext_noop("too many messages wait there")
    RATE_LIMITED = "rate_limited", gettext_noop("too many commands")
    RESTARTING = (
        "restarting",
        gettext_noop("the server is about to end; the socket is closed with 4412 in a moment"),
    )
    INTERNAL_ERROR = "internal_error", gettext_noop("our fault; the log has it")
