"""The chat's tables: users, assistants, conversations and messages. An assistant's `Message` is the reply."""

import secrets
import uuid
from collections.abc import Iterator
from typing import Any

from django.contrib.auth.models import AbstractUser
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils import timezone

from chatapp.account_models import Identity as Identity
from chatapp.account_models import Invitation as Invitation
from chatapp.account_models import OpenSession as OpenSession
from chatapp.account_models import SignInLink as SignInLink
from chatapp.protocol.words import ReplyStatus
from chatapp.quota_models import LimitMet as LimitMet
from chatapp.quota_models import UsageAccount as UsageAccount
from chatapp.quota_models import UsageLimit as UsageLimit
from chatapp.tool_server_models import McpAnswer as McpAnswer
from chatapp.tool_server_models import McpConsent as McpConsent
from chatapp.tool_server_models import McpQuestion as McpQuestion
from chatapp.tool_server_models import McpServer as McpServer
from chatapp.tool_server_models import McpTool as McpTool
from warmcache.models import choices_of


def new_salt() -> str:
    return secrets.token_urlsafe(12)


class User(AbstractUser):
    """Custom from the first migration on, so that it can grow."""

    cache_salt = models.CharField(
        max_length=32, default=new_salt, editable=False, help_text="Random: keeps prompt caches of people apart."
    )

    deletion_asked_at = models.DateTimeField(
        null=True,
        blank=True,
        editable=False,
        help_text="Deactivated, and being deleted in the background with everything of theirs.",
    )

    sessions_ended = models.PositiveIntegerField(
        default=0, db_default=0, editable=False, help_text="How often the person has ended all sessions at once."
    )

    instructions = models.TextField(
        blank=True,
        default="",
        db_default="",
        editable=False,
        help_text="What the person wants in each conversation: see `conversations/standing_instructions.py`.",
    )

    def get_session_auth_hash(self) -> str:
        return self._with_sessions_ended(super().get_session_auth_hash())

    def get_session_auth_fallback_hash(self) -> Iterator[str]:
        return map(self._with_sessions_ended, super().get_session_auth_fallback_hash())

    def _with_sessions_ended(self, of_password: str) -> str:
        """What a session must hold to be alive, until its person ends all of them. Sessions are the server's own rows,
        so the number needs no signature."""
        return f"{of_password}:{self.sessions_ended}" if self.sessions_ended else of_password


class TimeToLive(models.TextChoices):
    AUTO = "auto", "chosen from how long people are silent"
    FIVE_MINUTES = "5m", "5 minutes"
    ONE_HOUR = "1h", "1 hour"


class OwnTool(models.TextChoices):
    """Tools that this chat runs itself when a model calls them: `replies/tools`. The value is the tool's name."""

    SEARCH_DOCUMENTS = "search_documents", "search in its documents (by words, not by meaning)"
    CALCULATOR = "calculator", "a calculator (50 digits)"
    CURRENT_DATE = "current_date", "the date and the time (of the server's clock)"


class Assistant(models.Model):
    """A model with its instructions. `name`, `slug`, `model` and `system_prompt` suffice to create one."""

    class Thinking(models.TextChoices):
        MODEL_DEFAULT = "", "the model's default"
        ADAPTIVE = "adaptive", "adaptive"
        BETWEEN_TOOLS = "between_tools", "between tools only"
        DISABLED = "disabled", "disabled"
        ENABLED = "enabled", "manual (cannot be pre-warmed)"

    class Effort(models.TextChoices):
        MODEL_DEFAULT = "", "the model's default"
        LOW = "low", "low"
        MEDIUM = "medium", "medium"
        HIGH = "high", "high"
        XHIGH = "xhigh", "extra high"
        MAX = "max", "max"

    name = models.CharField(max_length=80)
    slug = models.SlugField(unique=True)
    description = models.CharField(max_length=200, blank=True, default="")
    model = models.CharField(max_length=80)
    system_prompt = models.TextField()
    thinking = models.CharField(max_length=20, blank=True, default="", choices=Thinking)
    effort = models.CharField(max_length=10, blank=True, default="", choices=Effort)
    max_output_tokens = models.PositiveIntegerField(default=4096)
    tools = models.JSONField(blank=True, default=list, help_text="Tool definitions as the Messages API takes them.")
    own_tools = models.JSONField(
        blank=True,
        default=list,
        db_default=[],
        verbose_name="tools of this chat",
        help_text="Run here when the model calls them. A call is shown in the reply with its result, and each request "
        "that it takes is billed.",
    )
    mcp_tools = models.JSONField(
        blank=True,
        default=list,
        db_default=[],
        verbose_name="tools of MCP servers",
        help_text="What a person lets it call. A call leaves this server, with the words that the model chooses.",
    )
    max_web_searches = models.PositiveSmallIntegerField(
        blank=True,
        default=0,
        db_default=0,
        validators=[MaxValueValidator(20)],
        verbose_name="searches on the web",
        help_text="How many the provider may run for one request; 0 switches them off. Each is billed.",
    )
    output_schema = models.JSONField(
        blank=True,
        null=True,
        help_text="JSON schema of the answer, an object. The model gives its answer to a tool with this schema, and "
        "the page shows it as a table.",
    )
    cuts_documents = models.BooleanField(
        default=False,
        db_default=False,
        verbose_name="cut documents per question",
        help_text="For documents that are longer than the model reads: each question gets the passages that share the "
        "most words with it. The cached part that everybody shares then holds no documents.",
    )
    passage_tokens = models.PositiveIntegerField(
        blank=True,
        default=6_000,
        db_default=6_000,
        validators=[MinValueValidator(1_000), MaxValueValidator(100_000)],
        verbose_name="tokens of passages",
        help_text="At most, with each question, where documents are cut. They stay in the conversation.",
    )
    shared_ttl = models.CharField(max_length=4, choices=TimeToLive, default=TimeToLive.AUTO)
    conversation_ttl = models.CharField(max_length=4, choices=TimeToLive, default=TimeToLive.AUTO)
    suggestions = models.TextField(
        blank=True, default="", db_default="", help_text="To begin with: one in a line, shown in an empty chat."
    )
    is_default = models.BooleanField(default=False)
    summarise_above_tokens = models.PositiveIntegerField(
        null=True,
        blank=True,
        help_text="A longer history is summarised for the assistant. Empty: as the settings say; 0: never.",
    )
    retired_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="From then on only conversations that have it already go on."
    )
    revision = models.PositiveBigIntegerField(
        default=0, db_default=0, editable=False, help_text="Grows with each edit of it or of its documents."
    )
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ("-is_default", "name")

    def __str__(self) -> str:
        return self.name


class Document(models.Model):
    """The operator's own text, sent to the model with every request of its assistant."""

    assistant = models.ForeignKey(Assistant, on_delete=models.CASCADE, related_name="documents")
    title = models.CharField(max_length=200)
    text = models.TextField()
    position = models.PositiveIntegerField(default=0)

    class Meta:
        ordering = ("position", "id")

    def __str__(self) -> str:
        return self.title


class TitledBy(models.TextChoices):
    FIRST_WORDS = "", "the first words of its first message"
    MODEL = "model", "a model"
    PERSON = "person", "its owner"


class Conversation(models.Model):
    """One that is deleted stays for a moment, for Undo: only `conversations.deletions` may find it then."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="conversations")
    assistant = models.ForeignKey(Assistant, on_delete=models.PROTECT, related_name="conversations")
    title = models.CharField(max_length=120, blank=True, default="")
    titled_by = models.CharField(max_length=6, choices=TitledBy, blank=True, default="", db_default="")
    branch = models.ForeignKey(
        "Message",
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
        help_text="The shown branch goes through this message to the newest end below it; empty: the newest branch.",
    )
    version = models.PositiveBigIntegerField(
        default=0, db_default=0, editable=False, help_text="Grows with each change of what its next message follows."
    )
    cache_salt = models.CharField(
        max_length=32,
        blank=True,
        default="",
        db_default="",
        editable=False,
        help_text="Its owner's, in each prompt from its beginning. Empty only if it is older than salts, "
        "until it is cold.",
    )
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(default=timezone.now)
    pinned_at = models.DateTimeField(null=True, blank=True)
    archived_at = models.DateTimeField(null=True, blank=True)
    read_at = models.DateTimeField(
        null=True, blank=True, help_text="When its owner last saw all of it. Empty: older than these marks."
    )
    deleted_at = models.DateTimeField(null=True, blank=True, editable=False)
    imported_bytes = models.PositiveBigIntegerField(
        default=0,
        db_default=0,
        editable=False,
        help_text="Of the texts that came from an archive, in UTF-8: they count in its owner's stored bytes.",
    )
    is_temporary = models.BooleanField(
        default=False,
        db_default=False,
        editable=False,
        help_text="Neither listed nor found, and deleted when it is left or idle: see `conversations/temporary.py`.",
    )

    class Meta:
        ordering = ("-updated_at",)
        indexes = (
            models.Index(fields=("user", "-updated_at")),
            # Few are pinned or deleted at a time: these indexes find them among any number.
            models.Index(
                fields=("user", "-pinned_at"), condition=~models.Q(pinned_at=None), name="conversation_pinned"
            ),
            models.Index(fields=("deleted_at",), condition=~models.Q(deleted_at=None), name="conversation_deleted"),
            models.Index(fields=("updated_at",), condition=models.Q(is_temporary=True), name="conversation_temporary"),
            # The sum of a person's imports is read from this index alone.
            models.Index(
                fields=("user", "imported_bytes"),
                condition=models.Q(imported_bytes__gt=0),
                name="conversation_imported",
            ),
        )

    def __str__(self) -> str:
        """Not its title, which quotes the first message: Django's admin logs this name."""
        return f"conversation {self.id}"


class Message(models.Model):
    """One turn of a conversation's tree. `content` holds API blocks, `text` their text joined."""

    class Role(models.TextChoices):
        USER = "user", "person"
        ASSISTANT = "assistant", "assistant"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    conversation = models.ForeignKey(Conversation, on_delete=models.CASCADE, related_name="messages")
    parent = models.ForeignKey("self", null=True, blank=True, on_delete=models.CASCADE, related_name="children")
    edit_of = models.ForeignKey(
        "self",
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
        help_text="The message that this one was written anew from, as another version beside it.",
    )
    role = models.CharField(max_length=10, choices=Role)
    content = models.JSONField(default=list)
    text = models.TextField(blank=True, default="")
    status = models.CharField(max_length=12, choices=choices_of(ReplyStatus), default=ReplyStatus.COMPLETE)
    sender = models.ForeignKey(User, null=True, blank=True, on_delete=models.CASCADE, related_name="+")
    client_message_id = models.UUIDField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    # The following fields are only for replies.
    model = models.CharField(max_length=80, blank=True, default="")
    assistant_name = models.CharField(
        max_length=80,
        blank=True,
        default="",
        db_default="",
        help_text="Of the assistant that wrote it: its conversation may go on with another. Empty: older than this.",
    )
    finished_at = models.DateTimeField(null=True, blank=True)
    stop_reason = models.CharField(max_length=40, blank=True, default="")
    stop_details = models.JSONField(null=True, blank=True, help_text="What the provider says about a refusal.")
    error_code = models.CharField(max_length=40, blank=True, default="")
    error_message = models.TextField(blank=True, default="")
    error_is_retryable = models.BooleanField(default=False)
    input_tokens = models.PositiveIntegerField(null=True, blank=True)
    cache_read_tokens = models.PositiveIntegerField(null=True, blank=True)
    cache_write_tokens = models.PositiveIntegerField(null=True, blank=True)
    output_tokens = models.PositiveIntegerField(null=True, blank=True)
    web_searches = models.PositiveIntegerField(null=True, blank=True, help_text="That the provider ran for it.")
    cost_usd = models.DecimalField(max_digits=14, decimal_places=8, null=True, blank=True)
    warmth = models.CharField(max_length=10, blank=True, default="")
    warm_up_id = models.UUIDField(null=True, blank=True)
    ttft_ms = models.PositiveIntegerField(null=True, blank=True, help_text="At the server, from the message's arrival.")
    browser_ttft_ms = models.PositiveIntegerField(
        null=True, blank=True, help_text="In the browser, from the press to the first paint."
    )
    request_id = models.CharField(max_length=80, blank=True, default="")
    rounds = models.JSONField(
        null=True,
        blank=True,
        help_text="For each request: its first block, the API's message without content, events of unknown kinds.",
    )
    shared_hash = models.CharField(
        max_length=64,
        blank=True,
        default="",
        db_default="",
        help_text="Of what stood before its history. Only where it is the same, more than its text goes back.",
    )

    is_indexed = models.BooleanField(default=False, db_default=False, help_text="Whether the search can find it.")

    # Only for a running reply: which process writes it, and how far the row is.
    owner = models.CharField(max_length=32, blank=True, default="", help_text="The process that writes it.")
    beat_at = models.DateTimeField(
        null=True, blank=True, help_text="The owner's last sign of life. Watched for change, compared with no clock."
    )
    stop_requested_at = models.DateTimeField(null=True, blank=True, help_text="In any process; the owner obeys.")
    epoch = models.CharField(max_length=12, blank=True, default="", help_text="Of the numbering of its frames.")
    log_seq = models.PositiveIntegerField(default=0, help_text="Of the last frame whose text is stored.")
    reserved_usd = models.DecimalField(
        max_digits=14,
        decimal_places=8,
        null=True,
        blank=True,
        help_text="What was set aside for it when it began, until its cost is known.",
    )

    class Meta:
        ordering = ("created_at",)
        constraints = (models.UniqueConstraint(fields=("sender", "client_message_id"), name="message_is_sent_once"),)
        indexes = (
            models.Index(fields=("conversation", "created_at")),
            models.Index(fields=("status",)),
            # Every message asks whether a reply runs: this index answers without reading the conversation's rows.
            models.Index(fields=("conversation",), condition=models.Q(status="streaming"), name="message_streaming"),
            models.Index(fields=("created_at",), condition=models.Q(is_indexed=False), name="message_not_indexed"),
        )

    def __str__(self) -> str:
        return f"{self.role} {self.id}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """For imports and manual edits. Services write many columns at once and increment the version themselves."""
        self.is_indexed = False
        super().save(*args, **kwargs)
        # What was said differently now is in the later ones.
        Summary.objects.filter(conversation=self.conversation_id, through__created_at__gte=self.created_at).delete()
        note_change(self.conversation_id)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        conversation_id = self.conversation_id
        deleted = super().delete(*args, **kwargs)
        note_change(conversation_id)
        return deleted


def note_change(conversation_id: uuid.UUID) -> None:
    """Increments the version, so that processes that have the conversation prepared read it again."""
    Conversation.objects.filter(pk=conversation_id).update(version=models.F("version") + 1)


class SharedLink(models.Model):
    """Lets everybody who knows its address read a branch of a conversation up to `tip`, as it was when it was shared:
    what stands before a message never changes. Only `conversations/shared_links.py` finds it."""

    token_hash = models.CharField(max_length=64, unique=True, help_text="SHA-256; the token is only in the link.")
    conversation = models.ForeignKey(Conversation, on_delete=models.CASCADE, related_name="shared_links")
    tip = models.ForeignKey(Message, on_delete=models.CASCADE, related_name="+")
    title = models.CharField(max_length=120, blank=True, default="", help_text="The conversation's, at that time.")
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField(db_index=True)

    class Meta:
        ordering = ("-created_at", "-pk")

    def __str__(self) -> str:
        return f"shared link {self.pk}"


class Summary(models.Model):
    """What stands for the earlier part of a conversation in the assistant's prompt: see `conversations/summaries.py`.
    The messages themselves stay. Without a text it is being written, or could not be."""

    conversation = models.ForeignKey(Conversation, on_delete=models.CASCADE, related_name="summaries")
    through = models.ForeignKey(
        Message, on_delete=models.CASCADE, related_name="+", help_text="The last reply that it summarises."
    )
    used_from = models.ForeignKey(
        Message,
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
        help_text="The reply after which it is sent in place of what it summarises.",
    )
    text = models.TextField(blank=True, default="")
    model = models.CharField(max_length=80, blank=True, default="")
    replaces_tokens = models.PositiveIntegerField(
        default=0, help_text="Of the history when it was written, without files."
    )
    cost_usd = models.DecimalField(max_digits=14, decimal_places=8, null=True, blank=True)
    began_at = models.DateTimeField(default=timezone.now)
    written_at = models.DateTimeField(null=True, blank=True)
    failed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-began_at",)
        verbose_name_plural = "summaries"
        constraints = (
            models.UniqueConstraint(
                fields=("conversation",),
                condition=models.Q(text="", failed_at=None),
                name="summary_is_written_once_at_a_time",
            ),
        )

    def __str__(self) -> str:
        """Without its text, which tells what people wrote: Django's admin logs this name."""
        return f"summary {self.pk}"


class SearchEntry(models.Model):
    """A message that the search finds. Its words are in a column or table that only PostgreSQL or only SQLite has: see
    `conversations/search_index.py`. Change this table by hand: Django copies a table to change it on SQLite, and would
    leave behind the trigger that deletes the words."""

    message = models.OneToOneField(Message, on_delete=models.CASCADE, related_name="search_entry")

    class Meta:
        verbose_name_plural = "search entries"

    def __str__(self) -> str:
        return f"words of {self.message_id}"


class QueuedMessage(models.Model):
    """A person's message that was sent while a reply ran. It becomes a `Message` with the same id when its turn comes.

    `id` grows in the order of sending. A withdrawn row stays for a while, so that a late resend does not bring the
    message back, and a page that lost its connection during the withdrawal still gets the text.
    """

    message_id = models.UUIDField(unique=True, default=uuid.uuid4, editable=False)
    conversation = models.ForeignKey(Conversation, on_delete=models.CASCADE, related_name="queued")
    sender = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    client_message_id = models.UUIDField()
    text = models.TextField(blank=True, default="")
    behind = models.ForeignKey(
        Message,
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
        help_text="The reply that ran: the message follows the newest end below it.",
    )
    parent = models.ForeignKey(
        Message,
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
        help_text="Where it begins a branch.",
    )
    edit_of = models.ForeignKey(Message, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    file_order = models.JSONField(null=True, blank=True, help_text="The ids of its files as they follow each other.")
    is_held = models.BooleanField(
        default=False, help_text="The reply before it ended badly: it waits for its sender's word."
    )
    held_because = models.CharField(
        max_length=200,
        blank=True,
        default="",
        db_default="",
        help_text="Why else it waits, as its sender is told: a limit.",
    )
    withdrawn_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ("id",)
        constraints = (models.UniqueConstraint(fields=("sender", "client_message_id"), name="message_is_queued_once"),)

    def __str__(self) -> str:
        return f"queued {self.message_id}"


class Attachment(models.Model):
    """A text or a picture that a person attaches to a message; `message` is set once it is sent."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="attachments")
    message = models.ForeignKey(Message, null=True, blank=True, on_delete=models.CASCADE, related_name="attachments")
    queued = models.ForeignKey(
        QueuedMessage, null=True, blank=True, on_delete=models.CASCADE, related_name="attachments"
    )
    name = models.CharField(max_length=200)
    text = models.TextField()
    size_bytes = models.PositiveBigIntegerField(
        default=0, db_default=0, help_text="Of the text, in UTF-8, or of the picture as it is sent."
    )
    media_type = models.CharField(max_length=20, blank=True, default="", db_default="", help_text="Of a picture.")
    picture = models.BinaryField(null=True, help_text="As the model reads it: small, upright, pixels only.")
    width = models.PositiveIntegerField(default=0, db_default=0)
    height = models.PositiveIntegerField(default=0, db_default=0)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("created_at", "id")
        indexes = (
            # For the sweep of what is never sent.
            models.Index(
                fields=("created_at",), condition=models.Q(message=None, queued=None), name="attachment_unsent"
            ),
        )

    def __str__(self) -> str:
        """Not its name, which a person chose: Django's admin logs this name."""
        return f"attachment {self.id}"

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        message = self.message
        deleted = super().delete(*args, **kwargs)
        if message is not None:
            note_change(message.conversation_id)
        return deleted


class Erasure(models.Model):
    """That a person's data was erased, and how much it was: the log of erasures. It knows the person's number alone."""

    person = models.PositiveBigIntegerField(unique=True, help_text="The number of the account, which is never reused.")
    asked_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True, blank=True, db_index=True)
    conversations = models.PositiveIntegerField(default=0, help_text="Deleted with all messages.")
    files = models.PositiveIntegerField(default=0, help_text="Deleted that were in no message.")
    ledger_rows = models.PositiveIntegerField(default=0, help_text="They keep their cost and no longer name anybody.")

    class Meta:
        ordering = ("-asked_at",)

    def __str__(self) -> str:
        return f"erasure of user {self.person}"


class AlertState(models.Model):
    """Since when a condition holds of which the operators are told by mail, and when they were told last."""

    name = models.CharField(max_length=40, primary_key=True)
    since = models.DateTimeField()
    seen_at = models.DateTimeField(help_text="When a process last saw it.")
    mailed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return self.name
