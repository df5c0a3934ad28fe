"""The ledger: one row per warm-up, one per real request, and counters of what was skipped."""

import uuid
from collections.abc import Iterable
from typing import ClassVar, Self

from django.db import models
from django.db.models import Q
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from warmcache.core.intents import Intent
from warmcache.core.outcomes import CONVERSING, Arm, Outcome, Purpose, RequestStatus
from warmcache.core.wording import Worded
from warmcache.databases import LedgerManager, MomentField

__all__ = [
    "Arm",
    "Dashboard",
    "Intent",
    "LearnedEvidence",
    "LostWrites",
    "Outcome",
    "RollUp",
    "RollUpState",
    "SkipCount",
    "UsageRecord",
    "WarmPolicy",
    "WarmUp",
    "WarmUpLine",
    "answered",
    "choices_of",
]


def choices_of(kind: Iterable[Worded]) -> list[tuple[str, str | Promise]]:
    """Choices for a field of a model or form: the words are translated when they are shown."""
    return [(str(member), _(member.words)) for member in kind]


class LedgerRow(models.Model):
    """Any row of this app."""

    objects: ClassVar[LedgerManager[Self]] = LedgerManager()

    class Meta:
        abstract = True


class TokenCounts(LedgerRow):
    """What the provider billed for one request, and its cost at the prices of that day."""

    input_tokens = models.PositiveIntegerField(default=0, help_text=_("Neither read from the cache nor written to it."))
    cache_read_tokens = models.PositiveIntegerField(default=0)
    cache_write_tokens = models.PositiveIntegerField(default=0, help_text=_("With either TTL."))
    cache_write_1h_tokens = models.PositiveIntegerField(default=0)
    output_tokens = models.PositiveIntegerField(default=0)
    cost_usd = models.DecimalField(
        max_digits=14,
        decimal_places=8,
        null=True,
        blank=True,
        help_text=_("Empty where the model has no known price."),
    )
    price_version = models.CharField(max_length=40, blank=True, default="", help_text=_("Where the prices come from."))

    class Meta:
        abstract = True


class RequestRecord(TokenCounts):
    """What a warm-up and a real request have in common."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    label = models.CharField(max_length=80, blank=True, default="", db_index=True, help_text=_("The host's own name."))
    subject = models.CharField(max_length=80, blank=True, default="", help_text=_("Whom the host did it for."))
    model = models.CharField(max_length=80)
    upstream = models.CharField(max_length=20, help_text=_("anthropic, simulator or local."))
    prefix_hash = models.CharField(max_length=64, blank=True, default="", db_index=True)
    prefix_tokens = models.PositiveIntegerField(default=0, help_text=_("Estimated before the call."))
    started_at = MomentField(db_index=True)
    duration_ms = models.PositiveIntegerField(default=0)
    place = models.CharField(
        max_length=80,
        blank=True,
        default="",
        db_index=True,
        help_text=_("Which conversation, in the host's own words."),
    )
    request_id = models.CharField(max_length=80, blank=True, default="")
    error_code = models.CharField(max_length=40, blank=True, default="")

    class Meta(TokenCounts.Meta):
        abstract = True


class WarmUp(RequestRecord):
    """One pre-warm that was sent to the provider."""

    intent = models.CharField(max_length=20, choices=choices_of(Intent))
    reason = models.CharField(max_length=40, help_text=_("Why the policy said yes."))
    numbers = models.JSONField(
        default=dict,
        blank=True,
        help_text=_("What the policy weighed: chances, seconds, dollars, as it believed them."),
    )
    estimated_expires_at = MomentField(null=True, blank=True)
    outcome = models.CharField(
        max_length=12,
        choices=choices_of(Outcome),
        default=Outcome.PENDING,
        blank=True,
        db_index=True,
        help_text=_("The best of the lines that it wrote; where it only renewed, that of the deepest."),
    )
    settled_at = MomentField(null=True, blank=True)
    waited_ms = models.PositiveIntegerField(default=0, help_text=_("How long the request that joined it waited."))
    response_id = models.CharField(
        max_length=80, blank=True, default="", help_text=_("The provider's id of the answer.")
    )

    class Meta:
        ordering = ("-started_at",)
        verbose_name = _("warm-up")
        indexes = (
            models.Index(
                fields=("estimated_expires_at",), name="warm_up_waiting", condition=Q(outcome=Outcome.PENDING)
            ),
            models.Index(fields=("subject", "started_at"), name="warm_up_of_subject"),
            models.Index(fields=("request_id",), name="warm_up_by_request_id"),
        )

    def __str__(self) -> str:
        return f"{self.intent} {self.label} {self.started_at:%Y-%m-%d %H:%M:%S}"


class WarmUpLine(LedgerRow):
    """One layer that a warm-up wrote or renewed, settled separately: different requests read the layers.

    The lines' costs add up to the warm-up's cost. See `core/settlement.py`.
    """

    warm_up = models.ForeignKey(WarmUp, on_delete=models.CASCADE, related_name="lines")
    position = models.PositiveSmallIntegerField(help_text=_("Counted from the beginning of the prompt."))
    layer = models.CharField(max_length=20, help_text=_("shared, conversation or draft."))
    prefix_hash = models.CharField(max_length=64, db_index=True)
    prefix_tokens = models.PositiveIntegerField(
        default=0, help_text=_("Up to its end: estimated before the call, as billed after it.")
    )
    ttl_seconds = models.PositiveIntegerField()
    written_tokens = models.PositiveIntegerField(default=0, help_text=_("As billed; 0 where it was only renewed."))
    read_tokens = models.PositiveIntegerField(default=0, help_text=_("Of this layer alone, as billed."))
    cost_usd = models.DecimalField(
        max_digits=14, decimal_places=8, null=True, blank=True, help_text=_("Its part of the warm-up's cost.")
    )
    estimated_expires_at = MomentField(null=True, blank=True)
    outcome = models.CharField(
        max_length=12, choices=choices_of(Outcome), default=Outcome.PENDING, blank=True, db_index=True
    )
    settled_at = MomentField(null=True, blank=True)
    request = models.ForeignKey(
        "UsageRecord", null=True, blank=True, on_delete=models.SET_NULL, related_name="lines", db_constraint=False
    )
    """The real request that settled this line."""
    credited_tokens = models.PositiveIntegerField(
        default=0, help_text=_("What that request really read of it; never more than was written.")
    )

    class Meta:
        ordering = ("warm_up", "position")
        verbose_name = _("settlement line")
        constraints = (models.UniqueConstraint(fields=("warm_up", "position"), name="one_line_per_layer"),)
        indexes = (
            models.Index(fields=("estimated_expires_at",), name="line_waiting", condition=Q(outcome=Outcome.PENDING)),
        )

    def __str__(self) -> str:
        return f"{self.layer} of {self.warm_up_id}"


class UsageRecord(RequestRecord):
    """One real request."""

    purpose = models.CharField(max_length=20, choices=choices_of(Purpose), default=Purpose.REPLY)
    status = models.CharField(max_length=20, help_text=_("complete, stopped, interrupted or failed."))
    warmth = models.CharField(max_length=10, help_text=_("hit, joined, raced, cold or held_out."))
    warm_up = models.ForeignKey(
        WarmUp, null=True, blank=True, on_delete=models.SET_NULL, related_name="requests", db_constraint=False
    )
    ttft_ms = models.PositiveIntegerField(null=True, blank=True, help_text=_("From the call's start, a join included."))
    waited_ms = models.PositiveIntegerField(
        default=0, help_text=_("For a warm-up in flight; part of the first-token time.")
    )
    answered_ms = models.PositiveIntegerField(
        null=True, blank=True, help_text=_("From the call's start to the provider's answer, which begins the stream.")
    )
    first_token_ms = models.PositiveIntegerField(
        null=True, blank=True, help_text=_("From the call's start to the first token, shown or only thought.")
    )
    arm = models.CharField(
        max_length=10,
        choices=choices_of(Arm),
        default=Arm.NONE,
        blank=True,
        help_text=_("By lot, where the policy said warm."),
    )
    intent = models.CharField(max_length=20, blank=True, default="", help_text=_("At which the policy said warm."))
    lead_ms = models.PositiveIntegerField(null=True, blank=True, help_text=_("From that intent to the request."))
    numbers = models.JSONField(
        default=dict, blank=True, help_text=_("What the policy had weighed then, to be compared with what came.")
    )
    decided = models.CharField(
        max_length=40,
        blank=True,
        default="",
        db_default="",
        help_text=_("Why the visit was warmed, or last not warmed."),
    )
    response_id = models.CharField(
        max_length=80, blank=True, default="", help_text=_("The provider's id of the answer.")
    )
    web_searches = models.PositiveIntegerField(
        default=0, db_default=0, help_text=_("Run by the provider and billed for each one; their price is in the cost.")
    )
    web_fetches = models.PositiveIntegerField(default=0, db_default=0, help_text=_("Run by the provider."))
    asked_tool = models.BooleanField(default=False, help_text=_("It ended with the request to run a tool."))
    followed_at = MomentField(
        null=True,
        blank=True,
        help_text=_("When the next request of the same place started: how long people stay silent."),
    )
    miss_reason = models.CharField(
        max_length=40,
        blank=True,
        default="",
        help_text=_("Why a prefix that was warm was not read, as the provider says."),
    )

    class Meta:
        ordering = ("-started_at",)
        verbose_name = _("real request")
        indexes = (
            models.Index(fields=("subject", "started_at"), name="request_of_subject"),
            models.Index(fields=("request_id",), name="request_by_request_id"),
            models.Index(fields=("ttft_ms", "started_at"), name="request_by_wait"),
        )

    def __str__(self) -> str:
        return f"{self.purpose} {self.label} {self.started_at:%Y-%m-%d %H:%M:%S}"


def answered(upstream: str) -> models.QuerySet[UsageRecord]:
    """Requests after which someone may come back. Nothing follows a title, and a failure is no reply."""
    rows = UsageRecord.objects.filter(upstream=upstream, purpose__in=CONVERSING)
    return rows.exclude(status=RequestStatus.FAILED)


class SkipCount(LedgerRow):
    """How often warming was considered and skipped: one row per minute, label, intent and reason."""

    minute = MomentField()
    label = models.CharField(max_length=80, blank=True, default="")
    intent = models.CharField(max_length=20, choices=choices_of(Intent))
    reason = models.CharField(max_length=40)
    count = models.PositiveIntegerField(default=0)

    class Meta:
        ordering = ("-minute",)
        constraints = (
            models.UniqueConstraint(fields=("minute", "label", "intent", "reason"), name="skip_count_is_one_row"),
        )

    def __str__(self) -> str:
        return f"{self.count} x {self.reason}"


class Dashboard(WarmUp):
    """No rows of its own: the entry of the operator's first page in the admin."""

    class Meta:
        proxy = True
        default_permissions = ()
        verbose_name = verbose_name_plural = _("dashboard")


class LostWrites(LedgerRow):
    """Number of rows that could not be written, so that no report includes them. Written when the database is back."""

    minute = MomentField(unique=True)
    count = models.PositiveIntegerField(default=0)

    class Meta:
        ordering = ("-minute",)
        verbose_name_plural = _("lost writes")

    def __str__(self) -> str:
        return f"{self.count} lost"


class RollUp(LedgerRow):
    """Sums of all rows of the ledger of one hour or one UTC day that have the same words: see `core/tallies.py`.

    What a page shows of a long period is added up from these, and they stay when the rows are pruned.
    """

    start = MomentField()
    seconds = models.PositiveIntegerField(help_text=_("3600 or 86400."))
    kind = models.CharField(max_length=10, help_text=_("warm_up, request, skip or lost."))
    upstream = models.CharField(max_length=20, blank=True, default="")
    label = models.CharField(max_length=80, blank=True, default="")
    model = models.CharField(max_length=80, blank=True, default="")
    intent = models.CharField(max_length=20, blank=True, default="")
    outcome = models.CharField(
        max_length=40, blank=True, default="", help_text=_("Or warmth, or the reason of a skip.")
    )
    purpose = models.CharField(max_length=20, blank=True, default="")
    arm = models.CharField(max_length=10, blank=True, default="")
    is_coarse = models.BooleanField(
        default=False, help_text=_("Over all labels, models, intents and arms: for what is told over time.")
    )
    sums = models.JSONField(default=dict)
    waits = models.JSONField(default=dict, help_text=_("Milliseconds to the first text -> how many replies."))

    class Meta:
        ordering = ("start",)
        default_permissions = ()
        constraints = (
            models.UniqueConstraint(
                fields=(
                    *("is_coarse", "seconds", "start", "kind", "upstream", "label", "model"),
                    *("intent", "outcome", "purpose", "arm"),
                ),
                name="roll_up_is_one_row",
            ),
        )

    def __str__(self) -> str:
        return f"{self.kind} {self.label} {self.start:%Y-%m-%d %H:%M}"


class RollUpState(LedgerRow):
    """One row: how far the ledger is rolled up, and from when on its rows are still there."""

    rolled_until = MomentField()
    pruned_until = MomentField(null=True, blank=True)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"rolled up until {self.rolled_until:%Y-%m-%d %H:%M}"


class LearnedEvidence(LedgerRow):
    """Learned evidence, as sums that add up over processes and survive a restart. No content.

    People's habits are stored under their label, the models' speed, which all labels share, under `SPEED`.
    """

    SPEED = "*"

    upstream = models.CharField(max_length=20, help_text=_("What a simulator teaches is not believed of the real API."))
    label = models.CharField(max_length=80, blank=True, default="")
    evidence = models.JSONField(default=dict)
    silence_counted_until = MomentField(
        null=True,
        blank=True,
        help_text=_("On the row of speeds: until when silences are in the evidence of all labels."),
    )
    updated_at = MomentField(auto_now=True)

    class Meta:
        ordering = ("upstream", "label")
        verbose_name_plural = _("learned evidence")
        constraints = (models.UniqueConstraint(fields=("upstream", "label"), name="evidence_is_one_row"),)

    def __str__(self) -> str:
        return f"{self.upstream} {self.label}"


class WarmPolicy(LedgerRow):
    """The operator's settings: one row, in force in every process within two seconds. Empty field: as in WARMCACHE."""

    is_enabled = models.BooleanField(_("warming is on"), default=True, help_text=_("The kill switch."))
    value_of_second_usd = models.DecimalField(
        _("price of a saved second"),
        max_digits=8,
        decimal_places=4,
        null=True,
        blank=True,
        help_text=_("US dollars. What one second less of waiting is worth to you."),
    )
    max_cost_per_warm_up_usd = models.DecimalField(
        _("cap per warm-up"), max_digits=8, decimal_places=4, null=True, blank=True, help_text=_("US dollars.")
    )
    holdout_share = models.FloatField(
        _("hold-out share"),
        null=True,
        blank=True,
        help_text=_("0 to 1: part of the visits that are not warmed, by lot."),
    )
    intents = models.JSONField(
        _("intents that warm"), null=True, blank=True, help_text=_('As a list, such as ["typing", "attach"].')
    )
    user_daily_usd = models.DecimalField(
        _("budget per user and day"), max_digits=10, decimal_places=4, null=True, blank=True, help_text=_("US dollars.")
    )
    user_daily_warm_ups = models.PositiveIntegerField(_("warm-ups per user and day"), null=True, blank=True)
    daily_usd = models.DecimalField(
        _("budget per day in all"), max_digits=10, decimal_places=4, null=True, blank=True, help_text=_("US dollars.")
    )
    daily_warm_ups = models.PositiveIntegerField(_("warm-ups per day in all"), null=True, blank=True)
    keeps_shared_layers = models.BooleanField(
        _("keep shared layers warm"), default=False, help_text=_("Where the forecast says that it pays.")
    )
    keep_days = models.PositiveIntegerField(_("days that rows are kept"), null=True, blank=True)
    updated_at = MomentField(auto_now=True)

    class Meta:
        verbose_name = _("warm policy")
        verbose_name_plural = _("warm policy")

    def __str__(self) -> str:
        return "Warm policy"
