"""What a reply may cost, set aside before it begins: its whole prompt written to the cache, and a reply as long as the
assistant allows. The end of the reply corrects it. Called in a database thread."""

from collections.abc import Sequence
from decimal import Decimal

from chatapp.conversations import prepared_conversations
from chatapp.conversations.prepared_conversations import PreparedConversation
from chatapp.models import Conversation, Message
from warmcache.core.prefix import Json
from warmcache.services import expected_tokens
from warmcache.upstream.prices import rates_for


def usd_of_reply(conversation: Conversation, question: Sequence[Json], ready: PreparedConversation | None) -> Decimal:
    """0 for a model without a known price.

    `question`: its blocks, with the texts of its files. `ready`: what it follows, if this process has it prepared.
    """
    assistant = conversation.assistant
    prompt = prepared_conversations.shared_prompt(assistant) if ready is None else ready.prompt
    tokens = expected_tokens(prompt, question, label=assistant.slug)
    if ready is None and not conversation._state.adding:
        so_far = _tokens_so_far(conversation)  # of a whole prompt
        tokens += max(0, so_far - expected_tokens(prompt, label=assistant.slug))
    rates = rates_for(assistant.model, tokens)
    if rates is None:
        return Decimal(0)
    cost = tokens * max(rates.input, rates.cache_write_5m) + assistant.max_output_tokens * rates.output
    return cost.quantize(Decimal("0.00000001"))


def _tokens_so_far(conversation: Conversation) -> int:
    """As the provider billed the newest reply: its prompt, and itself."""
    parts = ("input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens")
    billed = Message.objects.filter(conversation=conversation, input_tokens__isnull=False)
    found = billed.order_by("-created_at").values_list(*parts).first()
    return sum(count or 0 for count in found or ())
