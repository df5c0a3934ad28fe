"""Closed sets for results: a warm-up's outcome, what a real request found, and the arm of the experiment."""

from warmcache.core.wording import Worded, gettext_noop


class Outcome(Worded):
    """How a warm-up ended, decided by the real request that did or did not use it."""

    PENDING = "", gettext_noop("waiting")
    HIT = "hit", gettext_noop("hit: a request read it")
    JOINED = "joined", gettext_noop("joined: a request waited for it")
    RACED = "raced", gettext_noop("raced: a request went before it was done")
    UNUSED = "unused", gettext_noop("unused: no request came in time")
    CANCELLED = "cancelled", gettext_noop("cancelled")
    DIVERGED = "diverged", gettext_noop("diverged: the request had other bytes")
    EVICTED = "evicted", gettext_noop("evicted: same bytes, in time, nothing read")
    FAILED = "failed", gettext_noop("failed")


class Arm(Worded):
    """If the policy says warm, a visit is warmed or held out at random: the difference shows what warming gains."""

    NONE = "", gettext_noop("not in the experiment")
    TREATED = "treated", gettext_noop("treated")
    HELD_OUT = "held_out", gettext_noop("held out")


class Purpose(Worded):
    """What a real request is for. Only a reply is what a person's signs announce."""

    REPLY = "reply", gettext_noop("reply")
    TITLE = "title", gettext_noop("title")
    COMPACTION = "compaction", gettext_noop("compaction")
    TOOL_ROUND = "tool_round", gettext_noop("tool round")


CONVERSING = (Purpose.REPLY, Purpose.TOOL_ROUND)
"""Requests that continue a conversation and use its layers; a title or a compaction has its own prompt."""


class RequestStatus(Worded):
    """How a real request ended."""

    COMPLETE = "complete", gettext_noop("complete")
    STOPPED = "stopped", gettext_noop("stopped by its reader")
    INTERRUPTED = "interrupted", gettext_noop("interrupted: the stream broke off")
    FAILED = "failed", gettext_noop("failed")


class RequestWarmth(Worded):
    """What a real request found in the cache."""

    HIT = (
        "hit",
        gettext_noop("warm"),
        gettext_noop("warm"),
        gettext_noop("The prompt was warmed before you sent: its start was read from the cache."),
    )
    JOINED = (
        "joined",
        gettext_noop("joined a warm-up"),
        gettext_noop("joined a warm-up"),
        gettext_noop("A warm-up was still running when you sent; the reply waited for it and read from the cache."),
    )
    RACED = (
        "raced",
        gettext_noop("raced a warm-up"),
        gettext_noop("raced a warm-up"),
        gettext_noop("You sent before the warm-up was done, and waiting would not have been faster."),
    )
    COLD = (
        "cold",
        gettext_noop("cold"),
        gettext_noop("cold"),
        gettext_noop("Nothing had been warmed for this reply."),
    )
    HELD_OUT = (
        "held_out",
        gettext_noop("held out"),
        gettext_noop("held out"),
        gettext_noop(
            "Left cold on purpose: a small random share of replies is not warmed, to measure what warming is worth."
        ),
    )


class WarmthState(Worded):
    """What a person is shown. `warming`, `skipped` and `failed` describe a warm-up, the others the cache entry."""

    COLD = (
        "cold",
        gettext_noop("cold"),
        gettext_noop("Will read up when you send"),
        gettext_noop("What comes before your message is read when you send it, or while you type, where that pays."),
    )
    WARMING = (
        "warming",
        gettext_noop("warming"),
        gettext_noop("Getting ready"),
        gettext_noop("What comes before your message is being read while you type, so that the reply starts sooner."),
    )
    WARM = (
        "warm",
        gettext_noop("warm"),
        gettext_noop("Ready"),
        gettext_noop("What comes before your message is read already: the reply starts sooner and costs less."),
    )
    EXPIRING = (
        "expiring",
        gettext_noop("expiring"),
        gettext_noop("Ready for a moment"),
        gettext_noop("What comes before your message is still known, but not for much longer."),
    )
    SKIPPED = (
        "skipped",
        gettext_noop("skipped"),
        gettext_noop("Will read up when you send"),
        gettext_noop("What comes before your message was not read beforehand. Replies work as usual."),
    )
    FAILED = (
        "failed",
        gettext_noop("failed"),
        gettext_noop("Will read up when you send"),
        gettext_noop("Reading ahead did not work this time. The first words may take longer."),
    )
