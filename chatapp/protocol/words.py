"""The protocol's closed sets of codes, each code with the words that a person sees."""

from warmcache.core.wording import FINAL, RETRYABLE, Coded, Worded, gettext_noop


class ReplyStatus(Worded):
    """The states of a reply; `conversations/reply_states.py` says what may happen in each."""

    STREAMING = "streaming", gettext_noop("streaming")
    COMPLETE = "complete", gettext_noop("complete")
    STOPPED = "stopped", gettext_noop("stopped"), gettext_noop("You stopped this reply.")
    INTERRUPTED = (
        "interrupted",
        gettext_noop("interrupted"),
        gettext_noop("This reply was cut off before it was done. What had arrived is kept."),
    )
    FAILED = "failed", gettext_noop("failed"), gettext_noop("This reply failed.")


class ErrorCode(Coded):
    """The code of an `error` frame."""

    BAD_JSON = "bad_json", FINAL, gettext_noop("not one JSON text")
    BINARY_FRAME = "binary_frame", FINAL, gettext_noop("bytes instead of text")
    BAD_FRAME = "bad_frame", FINAL, gettext_noop("JSON, but no object")
    UNKNOWN_TYPE = "unknown_type", FINAL, gettext_noop("no frame of this protocol")
    BAD_FIELD = "bad_field", FINAL, gettext_noop("a field is missing or wrong; `message` names it")
    BAD_TEXT = "bad_text", FINAL, gettext_noop("a NUL or half a character")
    EMPTY_MESSAGE = "empty_message", FINAL, gettext_noop("neither text nor attachment")
    MESSAGE_TOO_LARGE = "message_too_large", FINAL, gettext_noop("see the limits")
    NOT_FOUND = "not_found", FINAL, gettext_noop("there is no such thing, or it is somebody else's")
    REPLY_RUNNING = "reply_running", RETRYABLE, gettext_noop("a reply is still being written there")
    QUEUE_FULL = "queue_full", RETRYABLE, gettext_noop("too many messages wait there")
    QUOTA = "quota", RETRYABLE, gettext_noop("a limit is reached; `quota` says which, what is left and until when")
    RATE_LIMITED = "rate_limited", RETRYABLE, gettext_noop("too many commands")
    RESTARTING = (
        "restarting",
        RETRYABLE,
        gettext_noop("the server is about to end; the socket is closed with 4412 in a moment"),
    )
    UNAVAILABLE = "unavailable", RETRYABLE, gettext_noop("the database does not answer just now")
    INTERNAL_ERROR = "internal_error", RETRYABLE, gettext_noop("our fault; the log has it")


class ReplyFailure(Coded):
    """Why a reply ended badly through no fault of the provider's; the other codes are those of `Failure`."""

    SERVER_RESTARTED = (
        "server_restarted",
        RETRYABLE,
        gettext_noop("the server was restarted"),
        gettext_noop("The server was restarted while this reply was being written."),
    )
    QUOTA_MET = (
        "quota_met",
        RETRYABLE,
        gettext_noop("a limit of money is reached before the reply was over"),
        gettext_noop("A limit was reached while this reply was being written."),
    )
    INTERNAL_ERROR = (
        "internal_error",
        RETRYABLE,
        gettext_noop("something failed on our side"),
        gettext_noop("Something went wrong on our side."),
    )


class Measure(Worded):
    """What is limited per person, per group and in all. The person is told how much of it is left."""

    MESSAGES_PER_MINUTE = (
        "messages_per_minute",
        gettext_noop("messages a minute"),
        gettext_noop("messages left this minute"),
    )
    MESSAGES_PER_DAY = "messages_per_day", gettext_noop("messages a day"), gettext_noop("messages left today")
    RUNNING_REPLIES = (
        "running_replies",
        gettext_noop("running replies at once"),
        gettext_noop("replies left at the same time"),
    )
    USD_PER_DAY = "usd_per_day", gettext_noop("dollars a day"), gettext_noop("left to spend today")
    USD_PER_MONTH = "usd_per_month", gettext_noop("dollars a month"), gettext_noop("left to spend this month")


class QuotaScope(Worded):
    """Whose limit it is."""

    PERSON = "person", gettext_noop("the person's own"), gettext_noop("your")
    GROUP = "group", gettext_noop("a group together"), gettext_noop("your group's")
    ALL = "all", gettext_noop("everybody together"), gettext_noop("everybody's")
