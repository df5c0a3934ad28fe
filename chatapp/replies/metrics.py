"""Prometheus counters of the replies of this process since its start."""

from prometheus_client import CollectorRegistry, Counter, Histogram

from chatapp.protocol import ReplyFinished
from chatapp.tool_servers.contacts import CallOutcome

TTFT_BUCKETS_SECONDS = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 8.0, 13.0, 21.0, 34.0)
OWN_BUCKETS_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)

registry = CollectorRegistry()
_replies = Counter(
    "warmcache_replies", "Replies that ended.", ["assistant", "model", "status", "warmth"], registry=registry
)
_ttft = Histogram(
    "warmcache_reply_ttft_seconds",
    "From a message's receipt to the first words of its reply.",
    ["assistant", "model", "warmth"],
    buckets=TTFT_BUCKETS_SECONDS,
    registry=registry,
)
_own = Histogram(
    "warmcache_reply_own_seconds",
    "Our own part of it: from a message's receipt to the call of the provider, a join included.",
    ["warmth"],
    buckets=OWN_BUCKETS_SECONDS,
    registry=registry,
)
_tokens = Counter("warmcache_reply_tokens", "Tokens billed for replies.", ["model", "kind"], registry=registry)
_cost = Counter(
    "warmcache_reply_cost_usd", "US dollars, from the price list.", ["assistant", "model"], registry=registry
)
_mcp_calls = Counter("warmcache_mcp_calls", "Calls of tools of MCP servers.", ["server", "outcome"], registry=registry)
_mcp_seconds = Histogram(
    "warmcache_mcp_call_seconds",
    "From the first connection to the server's answer.",
    ["server"],
    buckets=TTFT_BUCKETS_SECONDS,
    registry=registry,
)


def saw_mcp_call(server: str, outcome: CallOutcome, *, seconds: float) -> None:
    """Counts a call of this process: where to and how it ended, never what it was about."""
    _mcp_calls.labels(server, outcome).inc()
    _mcp_seconds.labels(server).observe(seconds)


def saw_reply(finished: ReplyFinished, *, assistant: str, model: str, own_seconds: float | None) -> None:
    """Counts an ended reply of this process. In memory only."""
    _replies.labels(assistant, model, finished.status, finished.warmth).inc()
    if finished.ttft_ms is not None:
        _ttft.labels(assistant, model, finished.warmth).observe(finished.ttft_ms / 1000)
    if own_seconds is not None:
        _own.labels(finished.warmth).observe(own_seconds)
    if finished.usage is not None:
        _tokens.labels(model, "input").inc(finished.usage.input_tokens)
        _tokens.labels(model, "cache_read").inc(finished.usage.cache_read_tokens)
        _tokens.labels(model, "cache_write").inc(finished.usage.cache_write_tokens)
        _tokens.labels(model, "output").inc(finished.usage.output_tokens)
    if finished.cost_usd is not None:
        _cost.labels(assistant, model).inc(float(finished.cost_usd))
