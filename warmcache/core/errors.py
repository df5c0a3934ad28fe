"""All exceptions that warmcache raises.

    WarmcacheError
    ├── ConfigurationError       the WARMCACHE setting cannot be used as it is
    ├── StoreUnavailable         the store of leases and warmth does not answer: no warm-ups, requests continue
    ├── LedgerBehind             the database does not answer now: the write happens later
    ├── LedgerClosed             the runtime was closed before a write was done
    └── UpstreamError            the provider did not do what was asked
        ├── UpstreamRefused      it refused; it would refuse the same request again
        │   └── PrewarmRefused   it refuses every warm-up for this model
        ├── UpstreamUnavailable  it cannot answer now; the same request may succeed later
        └── StreamBroken         it began to answer and did not finish; what has arrived stays valid

`code` is for programs (metrics, frames, rows), the message for people.
"""

from warmcache.core.failures import Failure


class WarmcacheError(Exception):
    """The base class of all."""


class ConfigurationError(WarmcacheError):
    """The WARMCACHE setting is invalid. The message names the entry and its allowed values."""


class StoreUnavailable(WarmcacheError):
    """The only exception that a `WarmthStore` raises: its backend is down."""


class LedgerBehind(WarmcacheError):
    """Raised to callers that wait for a write while the database is down. Nothing is lost yet."""


class LedgerClosed(WarmcacheError):
    """Raised to callers that wait for a write of a closed ledger."""


class UpstreamError(WarmcacheError):
    """A call to the provider failed. `request_id` is the provider's, empty if there was no response."""

    def __init__(
        self, code: Failure, message: str, *, request_id: str = "", retry_after_seconds: float | None = None
    ) -> None:
        super().__init__(message)
        self.code = Failure.named(code)
        self.message = message
        self.request_id = request_id
        self.retry_after_seconds = retry_after_seconds

    @property
    def is_retryable(self) -> bool:
        """Whether the same request may succeed later."""
        return self.code.is_retryable


class UpstreamRefused(UpstreamError):
    """Its code is one that is not retryable."""


class PrewarmRefused(UpstreamRefused):
    """The endpoint refuses `max_tokens: 0` for this model. Real requests are not affected."""


class UpstreamUnavailable(UpstreamError):
    """Its code is retryable."""


class StreamBroken(UpstreamError):
    """Its code is retryable, unless the provider refuses in the middle of its answer; whether a retry helps is for the
    person to say, who has read a part."""
