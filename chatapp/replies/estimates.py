"""What a reply may cost, set aside before it begins: its whole prompt written to the cache, and a reply as long as the
assistant allows. The end of the reply corrects it. Called in a database thread."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from chatapp.conversations import branches, prepared_conversations
from chatapp.conversations.prepared_conversations import PreparedConversation
from chatapp.models import Assistant, Conversation, Message
from warmcache.core.prefix import AnyPrompt, Json, PreparedPrompt, build
from warmcache.services import expected_tokens
from warmcache.upstream.prices import rates_for


def usd_of_reply(conversation: Conversation, question: Sequence[Json], ready: PreparedConversation | None) -> Decimal:
    """0 for a model without a known price.

    `question`: its blocks, with the texts of its files. `ready`: what it follows, if this process has it prepared.
    """
    assistant = conversation.assistant
    before = _opening(conversation) if ready is None else ready.prompt
    tokens = expected_tokens(before, question, label=assistant.slug)
    if assistant.cuts_documents:
        # They are found behind the lock.
        tokens += assistant.passage_tokens
    if ready is None and not conversation._state.adding:
        so_far = _tokens_so_far(conversation)  # of a whole prompt
        tokens += max(0, so_far - expected_tokens(before, label=assistant.slug))
    return _usd(assistant, tokens)


def usd_of_request(assistant: Assistant, prompt: AnyPrompt) -> Decimal:
    """The same for one request; its turn is part of the prompt."""
    return _usd(assistant, expected_tokens(prompt, label=assistant.slug))


def _usd(assistant: Assistant, tokens: int) -> Decimal:
    rates = rates_for(assistant.model, tokens)
    if rates is None:
        return Decimal(0)
    cost = tokens * max(rates.input, rates.cache_write_5m) + assistant.max_output_tokens * rates.output
    return cost.quantize(Decimal("0.00000001"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What the next message of a conversation would read. `usd` is None for a model without a known price."""

    tokens: int
    usd: Decimal | None


def reading_anew(conversation: Conversation) -> Reading:
    """Everything before the next message, with nothing of it in the cache: written there by that message."""
    tip = branches.end_of(conversation.pk, through=conversation.branch_id)
    prompt = prepared_conversations.before(conversation, tip).prompt
    # The prices differ, the tokens do not: which TTL is chosen is known only when the message is sent.
    settings = replace(prompt.settings, shared_ttl="5m", conversation_ttl="5m")
    tokens = build(replace(prompt, settings=settings), None).prefix.prefix_tokens
    rates = rates_for(conversation.assistant.model, tokens)
    usd = None if rates is None else tokens * max(rates.input, rates.cache_write_5m)
    return Reading(tokens=tokens, usd=usd)


def _opening(conversation: Conversation) -> PreparedPrompt:
    instructions = conversation.user.instructions if conversation._state.adding else ""
    return prepared_conversations.opening(conversation.assistant, cache_salt="", instructions=instructions)


def _tokens_so_far(conversation: Conversation) -> int:
    """As the provider billed the newest reply: its prompt, and itself."""
    parts = ("input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens")
    billed = Message.objects.filter(conversation=conversation, input_tokens__isnull=False)
    found = billed.order_by("-created_at").values_list(*parts).first()
    return sum(count or 0 for count in found or ())
