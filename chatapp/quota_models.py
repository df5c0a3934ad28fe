"""The tables of limits and of what was used. Import them from `chatapp.models`."""

from django.conf import settings
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator
from django.db import models
from django.utils.translation import gettext, gettext_noop

REFUSALS = {
    ("user", True): gettext_noop("Say which user."),
    ("group", True): gettext_noop("Say which group."),
    ("user", False): gettext_noop("Leave it empty: this is for no one user."),
    ("group", False): gettext_noop("Leave it empty: this is for no one group."),
}
"""By the field, and whether it is needed."""


class UsageLimit(models.Model):
    """The operator's limits, in force in every process within two seconds. An empty field leaves the next more general
    limit in force: for one person those of the person's groups, then those for each person, then the settings."""

    class AppliesTo(models.TextChoices):
        EACH_PERSON = "each_person", "each person"
        EACH_MEMBER = "each_member", "each member of a group"
        ONE_PERSON = "one_person", "one person"
        GROUP_TOGETHER = "group_together", "a group together"
        ALL_TOGETHER = "all_together", "everybody together"

    applies_to = models.CharField(max_length=20, choices=AppliesTo)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="+",
        help_text="For one person.",
    )
    group = models.ForeignKey(
        Group,
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="+",
        help_text="For a group. Who is in several gets the highest of its members' limits.",
    )
    messages_per_minute = models.PositiveIntegerField(null=True, blank=True)
    messages_per_day = models.PositiveIntegerField(null=True, blank=True, help_text="A day is a UTC day.")
    running_replies = models.PositiveIntegerField("running replies at once", null=True, blank=True)
    usd_per_day = models.DecimalField(
        "dollars a day",
        max_digits=10,
        decimal_places=2,
        null=True,
        blank=True,
        validators=(MinValueValidator(0),),
        help_text="Replies and warm-ups. A message sets its highest possible cost aside until its cost is known.",
    )
    usd_per_month = models.DecimalField(
        "dollars a month", max_digits=10, decimal_places=2, null=True, blank=True, validators=(MinValueValidator(0),)
    )
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ("applies_to", "pk")

    def __str__(self) -> str:
        return " ".join(str(part) for part in (self.get_applies_to_display(), self.user or self.group) if part)

    def clean(self) -> None:
        wanted = {
            self.AppliesTo.ONE_PERSON: "user",
            self.AppliesTo.EACH_MEMBER: "group",
            self.AppliesTo.GROUP_TOGETHER: "group",
        }.get(self.applies_to)  # type: ignore[call-overload]
        for name in ("user", "group"):
            if (getattr(self, name) is None) == (name == wanted):
                raise ValidationError({name: gettext(REFUSALS[name, name == wanted])})
        same = UsageLimit.objects.filter(applies_to=self.applies_to, user=self.user, group=self.group)
        if same.exclude(pk=self.pk).exists():
            raise ValidationError(gettext("There are limits for this already: change those."))


class UsageAccount(models.Model):
    """What one person, one group or everybody has used. Written only by `chatapp.quotas.accounts`, in one statement."""

    name = models.CharField(max_length=40, primary_key=True, help_text="all, user:<id> or group:<id>.")
    minute_began_at = models.FloatField(help_text="Epoch seconds.")
    minute_messages = models.IntegerField()
    day = models.IntegerField(help_text="Since 1970, UTC.")
    day_messages = models.IntegerField()
    day_units = models.BigIntegerField(help_text="Money, in units of 0.00000001 US dollars.")
    month = models.IntegerField(help_text="Since the year 0, UTC.")
    month_units = models.BigIntegerField()
    running = models.IntegerField(help_text="Replies that are being written.")
    changed_at = models.FloatField(help_text="Epoch seconds.")

    class Meta:
        ordering = ("-changed_at",)

    def __str__(self) -> str:
        return self.name

    @staticmethod
    def name_of(user_id: int) -> str:
        return f"user:{user_id}"


class LimitMet(models.Model):
    """Who met a limit: one row per person, day and limit."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    day = models.DateField()
    measure = models.CharField(max_length=24)
    scope = models.CharField(max_length=10)
    limit = models.CharField(max_length=20, help_text="As it was the last time.")
    count = models.PositiveIntegerField(default=0)
    last_at = models.DateTimeField()

    class Meta:
        ordering = ("-last_at",)
        verbose_name_plural = "limits met"
        constraints = (
            models.UniqueConstraint(fields=("user", "day", "measure", "scope"), name="limit_met_is_one_row"),
        )

    def __str__(self) -> str:
        return f"{self.user} {self.day}"
