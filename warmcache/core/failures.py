"""The codes of `UpstreamError`: how a call to the provider fails. Codes are for programs, words for people."""

from typing import Self

from warmcache.core.wording import Worded, gettext_noop


class Failure(Worded):
    """The words continue the sentence "it could not be warmed: "."""

    KEY_REFUSED = (
        "key_refused",
        gettext_noop("the API refuses the key"),
        gettext_noop("the API refuses the operator's key"),
    )
    SPEND_LIMIT = (
        "spend_limit",
        gettext_noop("the spending limit at the API is reached"),
        gettext_noop("the operator's spending limit is reached"),
    )
    MODEL_NOT_FOUND = (
        "model_not_found",
        gettext_noop("the API does not know its model"),
        gettext_noop("the API does not know this assistant's model"),
    )
    PROMPT_TOO_LARGE = "prompt_too_large", gettext_noop("the prompt is too large")
    REQUEST_REFUSED = "request_refused", gettext_noop("the API refuses this prompt")
    RATE_LIMITED = "rate_limited", gettext_noop("the API has had too many requests")
    OVERLOADED = "overloaded", gettext_noop("the API is overloaded")
    SERVER_ERROR = "server_error", gettext_noop("the API had an error")
    UNREACHABLE = "unreachable", gettext_noop("the API cannot be reached")
    TIMED_OUT = "timed_out", gettext_noop("the API did not answer in time")
    STREAM_CUT = "stream_cut", gettext_noop("the connection to the API broke")
    STREAM_STALLED = "stream_stalled", gettext_noop("the API fell silent")
    STREAM_MALFORMED = "stream_malformed", gettext_noop("the API's answer could not be read")
    STREAM_ENDED_EARLY = "stream_ended_early", gettext_noop("the API's answer ended too early")
    INTERNAL_ERROR = "internal_error", gettext_noop("something went wrong on our side")

    @classmethod
    def named(cls, code: str) -> Self:
        """The member for `code`; a host's own provider may have other codes."""
        try:
            return cls(code)
        except ValueError:
            return cls.INTERNAL_ERROR
