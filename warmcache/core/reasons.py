"""The reasons for decisions: to warm or not, and to wait for a warm-up or not.

To add a reason, add a member here and return it. `manage.py write_words` then updates the README and the
page.
"""

from typing import Self

from warmcache.core.wording import Worded, gettext_noop


class Reason(Worded):
    """The reason for a decision about one warm-up. The words continue the sentence "it was (not) warmed: "."""

    # Why it is not warmed, in the order of the gates
    WARMING_OFF = "warming_off", gettext_noop("warming is switched off")
    INTENT_OFF = (
        "intent_off",
        gettext_noop("the operator has switched this intent off"),
        gettext_noop("the operator has switched this kind of warming off"),
    )
    UPSTREAM_LIMITED = "upstream_limited", gettext_noop("the API has asked for a pause")
    STORE_UNAVAILABLE = "store_unavailable", gettext_noop("what is warm cannot be looked up right now")
    ENDPOINT_WITHOUT_PREWARM = "endpoint_without_prewarm", gettext_noop("the API in use cannot warm")
    STRUCTURED_OUTPUT = (
        "structured_output",
        gettext_noop("its output format rules it out"),
        gettext_noop("this assistant's output format rules it out"),
    )
    MANUAL_THINKING = (
        "manual_thinking",
        gettext_noop("its thinking setting rules it out"),
        gettext_noop("this assistant's thinking setting rules it out"),
    )
    FORCED_TOOL_CHOICE = (
        "forced_tool_choice",
        gettext_noop("its tool setting rules it out"),
        gettext_noop("this assistant's tool setting rules it out"),
    )
    BELOW_MINIMUM_TOKENS = (
        "below_minimum_tokens",
        gettext_noop("it is too short to be cached"),
        gettext_noop("too short to be cached"),
    )
    NOT_CACHEABLE = "not_cacheable", gettext_noop("nothing in it can be cached")
    IN_FLIGHT = (
        "in_flight",
        gettext_noop("a warm-up of it is already running"),
        gettext_noop("a warm-up is already running"),
    )
    ALREADY_WARM = "already_warm", gettext_noop("it is already warm")
    UNKNOWN_PRICE = "unknown_price", gettext_noop("its price is not known")
    OVER_COST_CAP = "over_cost_cap", gettext_noop("it would cost more than the operator allows")
    NOT_WORTH_IT = (
        "not_worth_it",
        gettext_noop("it would cost more than the seconds are worth"),
        gettext_noop("the time it would save is worth less than it costs"),
    )
    NOT_YET = (
        "not_yet",
        gettext_noop("it pays, and waiting for a surer sign pays more"),
        gettext_noop("a few more words make a message more likely"),
    )
    HELD_OUT = (
        "held_out",
        gettext_noop("this visit is held out, to measure what warming brings"),
        gettext_noop("this visit is part of a comparison without warming"),
    )
    NO_CREDIT = (
        "no_credit",
        gettext_noop("earlier warm-ups for this person were not used"),
        gettext_noop("you have typed without sending for a while; your next message brings it back"),
    )
    BREAKER_OPEN = (
        "breaker_open",
        gettext_noop("warm-ups of it have brought nothing lately"),
        gettext_noop("warming it has not helped lately"),
    )
    USER_BUDGET = (
        "user_budget",
        gettext_noop("the budget of this person is spent for today"),
        gettext_noop("your share of today's budget for warming is spent"),
    )
    BUDGET = (
        "budget",
        gettext_noop("the budget of today is spent"),
        gettext_noop("today's budget for warming is spent"),
    )
    BUSY = "busy", gettext_noop("too many warm-ups are waiting")
    RETURN_UNLIKELY = (
        "return_unlikely",
        gettext_noop("nobody is expected to come back in time"),
        gettext_noop("nobody is expected back in time"),
    )
    LAPSED = (
        "lapsed",
        gettext_noop("it had lapsed before it could be renewed"),
        gettext_noop("it was gone before it could be renewed"),
    )
    HOLDING_DOES_NOT_PAY = "holding_does_not_pay", gettext_noop("holding it would cost more than it brings")
    # Why it is warmed
    COLD = "cold", gettext_noop("it was cold")
    PARTLY_COLD = "partly_cold", gettext_noop("a part of it was cold")
    EXPIRING = "expiring", gettext_noop("it was about to lapse")
    RETURN_EXPECTED = "return_expected", gettext_noop("somebody is expected to come back in time")
    RETURN_WITHIN_THE_HOUR = (
        "return_within_the_hour",
        gettext_noop("somebody is expected to come back within the hour"),
    )

    @classmethod
    def of_stop(cls, name: str) -> Self:
        """The reason of a stop in the store. A newer process may have stored a reason that this one does not know."""
        try:
            return cls(name)
        except ValueError:
            return cls.BREAKER_OPEN


TO_WARM = frozenset(
    {Reason.COLD, Reason.PARTLY_COLD, Reason.EXPIRING, Reason.RETURN_EXPECTED, Reason.RETURN_WITHIN_THE_HOUR}
)
"""All others are reasons to skip."""


class JoinReason(Worded):
    """Why a request waits for a warm-up in flight, or does not wait."""

    NOT_WORTH_WAITING = "not_worth_waiting", gettext_noop("going at once is better")
    FASTER = "faster", gettext_noop("the rest of it is shorter than a cold start")
    CHEAPER = "cheaper", gettext_noop("it spares a second write")
