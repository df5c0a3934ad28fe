"""The ledger: one row per warm-up, one per real request, and counters of what was skipped."""

import uuid

from django.db import models
from django.db.models import Q


class Intent(models.TextChoices):
    """Why warming was considered."""

    OPEN = "open", "opened"
    TYPING = "typing", "typing"
    ATTACH = "attach", "attaching"
    TURN_FINISHED = "turn_finished", "turn finished"
    KEEP = "keep", "keep warm"
    MANUAL = "manual", "by hand"


class Outcome(models.TextChoices):
    """How a warm-up ended, told by the real request that did or did not use it."""

    PENDING = "", "waiting"
    HIT = "hit", "hit: a request read it"
    JOINED = "joined", "joined: a request waited for it"
    RACED = "raced", "raced: a request went before it was done"
    UNUSED = "unused", "unused: no request came in time"
    CANCELLED = "cancelled", "cancelled"
    DIVERGED = "diverged", "diverged: the request had other bytes"
    EVICTED = "evicted", "evicted: same bytes, in time, nothing read"
    FAILED = "failed", "failed"


class TokenCounts(models.Model):
    """What the provider billed for one request, and what it cost at the prices of that day."""

    input_tokens = models.PositiveIntegerField(default=0, help_text="Neither read from the cache nor written to it.")
    cache_read_tokens = models.PositiveIntegerField(default=0)
    cache_write_tokens = models.PositiveIntegerField(default=0, help_text="With either TTL.")
    cache_write_1h_tokens = models.PositiveIntegerField(default=0)
    output_tokens = models.PositiveIntegerField(default=0)
    cost_usd = models.DecimalField(
        max_digits=14,
        decimal_places=8,
        null=True,
        blank=True,
        help_text="Empty where the model has no known price.",
    )
    price_version = models.CharField(max_length=40, blank=True, default="", help_text="Where the prices come from.")

    class Meta:
        abstract = True


class RequestRecord(TokenCounts):
    """What a warm-up and a real request have in common."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    label = models.CharField(max_length=80, blank=True, default="", db_index=True, help_text="The host's own name.")
    subject = models.CharField(max_length=80, blank=True, default="", help_text="Whom the host did it for.")
    model = models.CharField(max_length=80)
    upstream = models.CharField(max_length=20, help_text="anthropic, simulator or local.")
    prefix_hash = models.CharField(max_length=64, blank=True, default="", db_index=True)
    prefix_tokens = models.PositiveIntegerField(default=0, help_text="Estimated before the call.")
    started_at = models.DateTimeField(db_index=True)
    duration_ms = models.PositiveIntegerField(default=0)
    request_id = models.CharField(max_length=80, blank=True, default="")
    error_code = models.CharField(max_length=40, blank=True, default="")

    class Meta(TokenCounts.Meta):
        abstract = True


class WarmUp(RequestRecord):
    """One pre-warm that was sent to the provider."""

    intent = models.CharField(max_length=20, choices=Intent)
    reason = models.CharField(max_length=40, help_text="Why the policy said yes.")
    layers = models.JSONField(
        default=list, help_text="Per layer: name, prefix_hash, estimated tokens, TTL, cold or not."
    )
    estimated_expires_at = models.DateTimeField(null=True, blank=True)
    outcome = models.CharField(max_length=12, choices=Outcome, default=Outcome.PENDING, blank=True, db_index=True)
    settled_at = models.DateTimeField(null=True, blank=True)
    waited_ms = models.PositiveIntegerField(default=0, help_text="How long the request that joined it waited.")

    class Meta:
        ordering = ("-started_at",)
        verbose_name = "warm-up"
        indexes = (
            models.Index(
                fields=("estimated_expires_at",), name="warm_up_waiting", condition=Q(outcome=Outcome.PENDING)
            ),
        )

    def __str__(self) -> str:
        return f"{self.intent} {self.label} {self.started_at:%Y-%m-%d %H:%M:%S}"


class UsageRecord(RequestRecord):
    """One real request."""

    class Purpose(models.TextChoices):
        REPLY = "reply", "reply"
        TITLE = "title", "title"
        COMPACTION = "compaction", "compaction"
        TOOL_ROUND = "tool_round", "tool round"

    purpose = models.CharField(max_length=20, choices=Purpose, default=Purpose.REPLY)
    status = models.CharField(max_length=20, help_text="complete, stopped, interrupted or failed.")
    warmth = models.CharField(max_length=10, help_text="hit, joined, raced, cold or held_out.")
    warm_up = models.ForeignKey(
        WarmUp, null=True, blank=True, on_delete=models.SET_NULL, related_name="requests", db_constraint=False
    )
    ttft_ms = models.PositiveIntegerField(null=True, blank=True, help_text="From the call's start, a join included.")

    class Meta:
        ordering = ("-started_at",)
        verbose_name = "real request"

    def __str__(self) -> str:
        return f"{self.purpose} {self.label} {self.started_at:%Y-%m-%d %H:%M:%S}"


class SkipCount(models.Model):
    """How often warming was considered and skipped: one row per minute, label, intent and reason."""

    minute = models.DateTimeField()
    label = models.CharField(max_length=80, blank=True, default="")
    intent = models.CharField(max_length=20, choices=Intent)
    reason = models.CharField(max_length=40)
    count = models.PositiveIntegerField(default=0)

    class Meta:
        ordering = ("-minute",)
        constraints = (
            models.UniqueConstraint(fields=("minute", "label", "intent", "reason"), name="skip_count_is_one_row"),
        )

    def __str__(self) -> str:
        return f"{self.count} x {self.reason}"
