"""The tables of MCP servers whose tools a model may call: what the operator lists, and what people have allowed."""

from typing import Any

from django.conf import settings
from django.core.validators import RegexValidator
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

MAX_CALL_ID_CHARS = 200


class McpServer(models.Model):
    """A server of tools that the operator trusts with what a model asks of it. It holds the name of a secret's
    variable, never the secret."""

    name = models.CharField(max_length=80, unique=True, help_text="As people are told where a call goes.")
    prefix = models.CharField(
        max_length=20,
        unique=True,
        validators=[RegexValidator(r"^[a-z][a-z0-9-]*\Z", _("Use small letters, digits and -, a letter first."))],
        help_text="The model knows its tools by names that begin with this and two underscores.",
    )
    url = models.CharField(
        max_length=500, verbose_name="address", help_text="Of its streamable HTTP endpoint: https://…/mcp."
    )
    header = models.CharField(
        max_length=80,
        blank=True,
        default="",
        help_text="Which header carries the secret, for example Authorization. Empty: none is sent.",
    )
    secret_variable = models.CharField(
        max_length=80,
        blank=True,
        default="",
        verbose_name="variable of the secret",
        help_text="The NAME of the environment variable that holds the header's whole value. It begins with "
        "MCP_SECRET_, so that nobody can have another secret of this server sent away.",
    )
    is_enabled = models.BooleanField(
        default=True, verbose_name="switched on", help_text="Off: no assistant has its tools."
    )
    looked_at = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ("name",)
        verbose_name = "MCP server"

    def __str__(self) -> str:
        return self.name


class McpTool(models.Model):
    """A tool as its server defined it when an operator looked at it: exactly what models are told."""

    server = models.ForeignKey(McpServer, on_delete=models.CASCADE, related_name="tools")
    name = models.CharField(max_length=200, help_text="As the server names it.")
    sent_name = models.CharField(max_length=64, unique=True, help_text="As the model names it.")
    definition = models.JSONField(help_text="Its description and input_schema.")
    digest = models.CharField(max_length=64, help_text="Of the name and the definition.")
    changed_at = models.DateTimeField(
        null=True,
        blank=True,
        help_text="When the server was seen to define it otherwise, or no longer. It is not called until an operator "
        "has accepted that.",
    )
    found = models.JSONField(null=True, blank=True, help_text="That other definition; null: it is gone.")

    class Meta:
        ordering = ("sent_name",)
        constraints = (models.UniqueConstraint(fields=("server", "name"), name="mcp_tool_is_stored_once"),)
        default_permissions = ()
        verbose_name = "tool of an MCP server"
        verbose_name_plural = "tools of MCP servers"

    def __str__(self) -> str:
        return self.sent_name

    @property
    def as_sent(self) -> dict[str, Any]:
        """As the Messages API takes it."""
        return {"name": self.sent_name, **self.definition}


class McpConsent(models.Model):
    """That a person lets a tool be called always, as long as it is defined so."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="mcp_consents")
    tool = models.ForeignKey(McpTool, on_delete=models.CASCADE, related_name="+")
    digest = models.CharField(max_length=64, help_text="Of the definition that the person was asked about.")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = (models.UniqueConstraint(fields=("user", "tool", "digest"), name="mcp_consent_is_given_once"),)
        default_permissions = ()

    def __str__(self) -> str:
        return f"consent {self.pk}"


class McpAnswer(models.TextChoices):
    """What a person says when a tool is about to be called."""

    ONCE = "once", "allowed once"
    ALWAYS = "always", "allowed always"
    NO = "no", "declined"


class McpQuestion(models.Model):
    """A call of a running reply that waits for its person's word. What would be asked of the tool stands in the reply
    alone."""

    UNANSWERED = "none"
    """Nobody said anything in time."""

    reply = models.ForeignKey("chatapp.Message", on_delete=models.CASCADE, related_name="+")
    call_id = models.CharField(max_length=MAX_CALL_ID_CHARS)
    tool = models.ForeignKey(McpTool, on_delete=models.CASCADE, related_name="+")
    digest = models.CharField(max_length=64)
    answer = models.CharField(max_length=6, blank=True, default="", help_text="Empty: it waits.")
    asked_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = (models.UniqueConstraint(fields=("reply", "call_id"), name="mcp_question_is_asked_once"),)
        default_permissions = ()

    def __str__(self) -> str:
        return f"question {self.pk}"
