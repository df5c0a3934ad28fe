"""The tables of accounts: how people come in, and where they are signed in. Import them from `chatapp.models`."""

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import models
from django.utils import timezone


class SignInLink(models.Model):
    """A one-time way in for the person who started the demo on this machine."""

    LIFETIME = timedelta(hours=12)

    token_hash = models.CharField(max_length=64, unique=True, help_text="SHA-256; the token is only in the link.")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)
    used_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"sign-in link of {self.user}"

    def state(self, now: Any) -> str:
        if self.used_at:
            return "used"
        return "expired" if now > self.created_at + self.LIFETIME else "ready"


class Invitation(models.Model):
    """Lets one person register once. Staff make it in the admin, which shows its link once."""

    LIFETIME = timedelta(days=7)

    token_hash = models.CharField(max_length=64, unique=True, editable=False, help_text="SHA-256, as of sign-in links.")
    note = models.CharField("for whom", max_length=100, blank=True, default="")
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, editable=False, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField(editable=False)
    used_at = models.DateTimeField(null=True, blank=True, editable=False)
    used_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, editable=False, on_delete=models.SET_NULL, related_name="+"
    )

    class Meta:
        ordering = ("-created_at",)

    def __str__(self) -> str:
        return f"invitation {self.pk}"


class OpenSession(models.Model):
    """Where a person is signed in, for the person's own list. What it describes is the session with the same key."""

    session_key = models.CharField(max_length=40, unique=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    device = models.CharField(max_length=80, help_text="Browser and system, in words.")
    address = models.GenericIPAddressField(null=True, blank=True)
    began_at = models.DateTimeField(default=timezone.now)
    seen_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ("-seen_at",)

    def __str__(self) -> str:
        return f"session of {self.user_id}"


class Identity(models.Model):
    """Whom a person is at the OpenID Connect provider. Only who has shown to be both gets one."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="identities")
    issuer = models.CharField(max_length=255)
    subject = models.CharField(max_length=255, help_text="The provider's own name for the person, which never changes.")
    linked_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name_plural = "identities"
        constraints = (
            models.UniqueConstraint(fields=("issuer", "subject"), name="identity_is_one_person"),
            models.UniqueConstraint(fields=("user", "issuer"), name="person_has_one_identity"),
        )

    def __str__(self) -> str:
        return f"identity of user {self.user_id}"
