"""The codes of `UpstreamError`: how a call to the provider fails. Codes are for programs, words for people."""

from typing import Self

from warmcache.core.wording import FINAL, RETRYABLE, Coded, gettext_noop


class Failure(Coded):
    """The words continue the sentence "it could not be warmed: "."""

    KEY_REFUSED = (
        "key_refused",
        FINAL,
        gettext_noop("the API refuses the key"),
        gettext_noop("the API refuses the operator's key"),
    )
    ACCESS_REFUSED = (
        "access_refused",
        FINAL,
        gettext_noop("the API, or something before it, refuses access"),
        gettext_noop("the API refuses access"),
    )
    WRONG_ADDRESS = (
        "wrong_address",
        FINAL,
        gettext_noop("there is no API at the configured address"),
        gettext_noop("the API cannot be reached"),
    )
    NOT_THE_API = (
        "not_the_api",
        RETRYABLE,
        gettext_noop("something else than the API answered"),
        gettext_noop("the API cannot be reached"),
    )
    SPEND_LIMIT = (
        "spend_limit",
        FINAL,
        gettext_noop("the spending limit at the API is reached"),
        gettext_noop("the operator's spending limit is reached"),
    )
    MODEL_NOT_FOUND = (
        "model_not_found",
        FINAL,
        gettext_noop("the API does not know its model"),
        gettext_noop("the API does not know this assistant's model"),
    )
    PROMPT_TOO_LARGE = "prompt_too_large", FINAL, gettext_noop("the prompt is too large")
    REQUEST_REFUSED = "request_refused", FINAL, gettext_noop("the API refuses this prompt")
    RATE_LIMITED = "rate_limited", RETRYABLE, gettext_noop("the API has had too many requests")
    OVERLOADED = "overloaded", RETRYABLE, gettext_noop("the API is overloaded")
    SERVER_ERROR = "server_error", RETRYABLE, gettext_noop("the API had an error")
    UNREACHABLE = "unreachable", RETRYABLE, gettext_noop("the API cannot be reached")
    TIMED_OUT = "timed_out", RETRYABLE, gettext_noop("the API did not answer in time")
    STREAM_CUT = "stream_cut", RETRYABLE, gettext_noop("the connection to the API broke")
    STREAM_STALLED = "stream_stalled", RETRYABLE, gettext_noop("the API fell silent")
    STREAM_MALFORMED = "stream_malformed", RETRYABLE, gettext_noop("the API's answer could not be read")
    STREAM_ENDED_EARLY = "stream_ended_early", RETRYABLE, gettext_noop("the API's answer ended too early")
    INTERNAL_ERROR = "internal_error", RETRYABLE, gettext_noop("something went wrong on our side")

    @classmethod
    def named(cls, code: str) -> Self:
        """The member for `code`; a host's own provider may have other codes."""
        try:
            return cls(code)
        except ValueError:
            return cls.INTERNAL_ERROR
