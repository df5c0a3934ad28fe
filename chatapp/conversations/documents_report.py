"""What an operator sees of an assistant's documents: how long they are, and what each message pays for them, read whole
from the cache that everybody shares or cut per question."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from django.db.models import Sum
from django.db.models.functions import Length as CharLength
from django.utils.translation import gettext

from chatapp.models import Assistant
from warmcache.core.catalog import facts_for
from warmcache.upstream.prices import rates_for


@dataclass(frozen=True, slots=True, kw_only=True)
class Length:
    """Of an assistant's own texts, estimated in tokens, and how much its model reads."""

    tokens: int
    most: int
    model: str
    is_known: bool
    """Of another model nobody here knows how much it reads."""

    @property
    def is_too_long(self) -> bool:
        return self.is_known and self.tokens > self.most


def length_of(assistant: Assistant, *, document_chars: int) -> Length:
    facts = facts_for(assistant.model)
    tokens = round((len(assistant.system_prompt) + document_chars) / facts.chars_per_token)
    model = facts.model or assistant.model
    return Length(tokens=tokens, most=facts.context_tokens, model=model, is_known=facts.known)


def lines_of(assistant: Assistant) -> Iterator[tuple[str, str]]:
    """Words and figures, in order; none without documents."""
    chars = assistant.documents.aggregate(in_all=Sum(CharLength("text")))["in_all"]
    if not chars:
        return
    length = length_of(assistant, document_chars=chars)
    yield gettext("sent"), _sent(assistant)
    told = gettext("about %(tokens)s tokens; %(model)s reads at most %(most)s")
    told %= {"tokens": f"{length.tokens:,}", "model": length.model, "most": f"{length.most:,}"}
    yield gettext("with the instructions"), told
    rates = rates_for(assistant.model, length.tokens)
    if rates is None:
        yield gettext("cost"), gettext("unknown: there is no price for %(model)s") % {"model": length.model}
        return
    if length.is_too_long:
        yield gettext("read whole"), gettext("impossible: they are more than the model reads")
    else:
        warm, cold = length.tokens * rates.cache_read, length.tokens * rates.cache_write_5m
        told = gettext("%(warm)s with each message from the shared cache, %(cold)s where it is cold")
        yield gettext("read whole"), told % {"warm": _dollars(warm), "cold": _dollars(cold)}
    new = assistant.passage_tokens * max(rates.input, rates.cache_write_5m)
    kept = assistant.passage_tokens * rates.cache_read
    told = gettext(
        "up to %(tokens)s tokens and %(new)s with each message, which no cache can spare; %(kept)s with each later one "
        "for those that stay in the conversation"
    )
    told %= {"tokens": f"{assistant.passage_tokens:,}", "new": _dollars(new), "kept": _dollars(kept)}
    yield gettext("cut per question"), told


def _sent(assistant: Assistant) -> str:
    if assistant.cuts_documents:
        return gettext(
            "cut per question: the shared part holds their titles only, and warming it reads none of them ahead"
        )
    return gettext("whole, in the part that everybody shares")


def _dollars(amount: Decimal) -> str:
    return f"${amount:.4f}"
