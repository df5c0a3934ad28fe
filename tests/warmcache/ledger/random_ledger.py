"""Random ledgers, and the figures of a period recomputed from their rows: slowly, and by nothing that we ship."""

from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from random import Random
from statistics import mean, variance
from typing import Any

from warmcache.models import LostWrites, SkipCount, UsageRecord, WarmUp, WarmUpLine

MODELS = ("claude-sonnet-5-5", "claude-opus-5-5", "nobody-knows-1")
OUTPUT_USD = {"claude-sonnet-5-5": Decimal("0.00001"), "claude-opus-5-5": Decimal("0.000025")}
OUTCOMES = ("hit", "joined", "raced", "unused", "cancelled", "diverged", "evicted", "failed", "")


def fill(draw: Random, *, rows: int, until: datetime, days: int) -> None:
    """Writes rows of the last `days`; what is older than a day is settled."""
    for _ in range(rows):
        at = until - timedelta(seconds=draw.uniform(0, days * 86_400))
        draw.choice((_warm_up, _warm_up, _request, _request, _request, _skip, _lost))(draw, at, until)


def _common(draw: Random, at: datetime) -> dict[str, Any]:
    model = draw.choice(MODELS)
    return {
        "label": draw.choice(("helpdesk", "sales", "")),
        "upstream": draw.choice(("anthropic", "simulator")),
        "model": model,
        "started_at": at,
        "input_tokens": draw.randrange(500),
        "cache_read_tokens": draw.choice((0, draw.randrange(30_000))),
        "cache_write_tokens": draw.choice((0, draw.randrange(30_000))),
        "output_tokens": draw.randrange(900),
        "cost_usd": None if model == MODELS[2] else Decimal(draw.randrange(1, 10**7)).scaleb(-8),
    }


def _warm_up(draw: Random, at: datetime, until: datetime) -> None:
    is_open = at > until - timedelta(minutes=50)
    lines = [draw.choice(OUTCOMES if is_open else OUTCOMES[:-1]) for _ in range(draw.randint(0, 3))]
    row = WarmUp.objects.create(
        intent=draw.choice(("typing", "open", "keep")),
        outcome=lines[0] if lines else "unused",
        reason="cold",
        numbers=draw.choice(({}, {"send_chance": round(draw.random(), 4)})),
        **_common(draw, at),
    )
    for position, outcome in enumerate(lines):
        written = draw.randrange(5000)
        WarmUpLine.objects.create(
            warm_up=row,
            position=position,
            layer="shared",
            prefix_hash="a",
            ttl_seconds=3600,
            outcome=outcome,
            written_tokens=written,
            credited_tokens=draw.randint(0, written) if outcome in ("hit", "joined") else 0,
            cost_usd=None if row.cost_usd is None else Decimal(draw.randrange(10**6)).scaleb(-8),
            estimated_expires_at=until + timedelta(days=1) if outcome == "" else at,
        )


def _request(draw: Random, at: datetime, until: datetime) -> None:
    UsageRecord.objects.create(
        purpose=draw.choice(("reply", "reply", "reply", "title", "tool_round")),
        status=draw.choice(("complete", "complete", "failed")),
        warmth=draw.choice(("hit", "joined", "cold", "held_out")),
        ttft_ms=draw.choice((None, draw.randrange(50), draw.randrange(20_000))),
        arm=draw.choice(("", "treated", "held_out")),
        intent=draw.choice(("", "typing", "open")),
        numbers=draw.choice(({}, {"saved_seconds": round(draw.uniform(0, 9), 3)})),
        **_common(draw, at),
    )


def _skip(draw: Random, at: datetime, until: datetime) -> None:
    SkipCount.objects.update_or_create(
        minute=at.replace(second=0, microsecond=0),
        label=draw.choice(("helpdesk", "sales")),
        intent="typing",
        reason=draw.choice(("no_credit", "already_warm")),
        defaults={"count": draw.randint(1, 9)},
    )


def _lost(draw: Random, at: datetime, until: datetime) -> None:
    LostWrites.objects.update_or_create(
        minute=at.replace(second=0, microsecond=0), defaults={"count": draw.randint(1, 9)}
    )


def recomputed(since: datetime, until: datetime) -> dict[str, Any]:
    """The figures, row by row. Money is `Decimal`, means are exact fractions."""
    warm_ups = [row for row in WarmUp.objects.prefetch_related("lines") if since <= row.started_at < until]
    requests = [row for row in UsageRecord.objects.all() if since <= row.started_at < until]
    upstreams = sorted({row.upstream for row in (*warm_ups, *requests)})
    return {
        "totals": {name: _totals(_of(warm_ups, name), _of(requests, name)) for name in upstreams},
        "spending": _spending(warm_ups, requests),
        "waits": _waits(requests),
        "experiments": _experiments(warm_ups, requests),
        "forecasts": _forecasts(warm_ups),
        "skips": _skips(since, until),
        "lost_writes": sum(row.count for row in LostWrites.objects.all() if since <= row.minute < until),
    }


def _of(rows: list[Any], upstream: str) -> list[Any]:
    return [row for row in rows if row.upstream == upstream]


def _usd(rows: Any) -> Decimal:
    return sum((row.cost_usd for row in rows if row.cost_usd is not None), Decimal(0))


def _lines(rows: list[Any]) -> list[Any]:
    return [line for row in rows for line in row.lines.all() if line.outcome]


def _totals(warm_ups: list[Any], requests: list[Any]) -> dict[str, Any]:
    conversing = [row for row in requests if row.purpose in ("reply", "tool_round")]
    lines = _lines(warm_ups)
    read = sum(row.cache_read_tokens for row in conversing)
    prompt = read + sum(row.cache_write_tokens + row.input_tokens for row in conversing)
    return {
        "replies": sum(row.purpose == "reply" for row in requests),
        "replies_usd": _usd(conversing),
        "total_usd": _usd(requests) + _usd(warm_ups),
        "used_usd": _usd(line for line in lines if line.outcome in ("hit", "joined")),
        "wasted_usd": _usd(line for line in lines if line.outcome not in ("hit", "joined")),
        "waiting_usd": _usd(warm_ups) - _usd(lines),
        "hit_rate": read / prompt if prompt else None,
        "unpriced": sum(row.cost_usd is None and row.status != "failed" for row in requests)
        + sum(row.cost_usd is None and row.outcome not in ("", "failed", "cancelled") for row in warm_ups),
        "warm_ups": len(warm_ups),
    }


def _spending(warm_ups: list[Any], requests: list[Any]) -> dict[Any, Any]:
    found: dict[Any, Any] = {}
    for key in sorted({(row.upstream, row.label, row.model, row.intent) for row in warm_ups}):
        rows = [row for row in warm_ups if (row.upstream, row.label, row.model, row.intent) == key]
        replies = [
            row for row in requests if (row.upstream, row.label, row.model) == key[:3] and row.purpose == "reply"
        ]
        lines = _lines(rows)
        found[key] = {
            "warm_ups": len(rows),
            "cost_usd": _usd(rows),
            "outcomes": {name or "waiting": sum(row.outcome == name for row in rows) for name in OUTCOMES},
            "wasted_usd": _usd(line for line in lines if line.outcome not in ("hit", "joined")),
            "written_tokens": sum(line.written_tokens for row in rows for line in row.lines.all()),
            "credited_tokens": sum(line.credited_tokens for line in lines),
            "replies": len(replies),
        }
        found[key]["outcomes"] = {name: count for name, count in found[key]["outcomes"].items() if count}
    return found


def _waits(requests: list[Any]) -> dict[Any, list[int]]:
    """The waits themselves, in order."""
    found: dict[Any, list[int]] = {}
    for row in requests:
        if row.purpose == "reply" and row.ttft_ms is not None:
            found.setdefault((row.upstream, row.label, row.model, row.warmth), []).append(row.ttft_ms)
    return {key: sorted(waits) for key, waits in found.items()}


def _experiments(warm_ups: list[Any], requests: list[Any]) -> dict[Any, Any]:
    replies = [row for row in requests if row.purpose == "reply" and row.ttft_ms is not None]
    found: dict[Any, Any] = {}
    for key in sorted({(row.upstream, row.intent) for row in replies if row.arm}):
        here = [row for row in replies if (row.upstream, row.intent) == key]
        treated, held_out = ([row for row in here if row.arm == arm] for arm in ("treated", "held_out"))
        charged = [row for row in here if row.arm != "held_out"]
        spent = _usd(row for row in warm_ups if (row.upstream, row.intent) == key)
        found[key] = {
            "treated": len(treated),
            "held_out": len(held_out),
            "saved_seconds": _difference([row.ttft_ms for row in held_out], [row.ttft_ms for row in treated], 1000),
            "extra_usd": _difference(_bills(treated), _bills(held_out), 1),
            "spent_each": float(spent / len(charged)) if charged else 0.0,
        }
    return found


def _bills(rows: list[Any]) -> list[Decimal]:
    return [row.cost_usd - row.output_tokens * OUTPUT_USD[row.model] for row in rows if row.cost_usd is not None]


def _difference(first: list[Any], second: list[Any], divisor: int) -> tuple[float, float] | None:
    """The difference of the means, and its standard error."""
    if min(len(first), len(second)) < 2:
        return None
    exact = [[Fraction(value) / divisor for value in values] for values in (first, second)]
    spread = sum(float(variance(values)) / len(values) for values in exact)
    return float(mean(exact[0]) - mean(exact[1])), spread**0.5


def _forecasts(warm_ups: list[Any]) -> dict[Any, Any]:
    found: dict[Any, list[tuple[float, bool]]] = {}
    for row in warm_ups:
        lines = list(row.lines.all())
        if row.intent == "keep" or "send_chance" not in row.numbers or not lines:
            continue
        last = max(lines, key=lambda line: line.position).outcome
        if last not in ("", "failed", "cancelled"):
            came = last in ("hit", "joined", "raced", "evicted", "diverged")
            found.setdefault((row.upstream, row.intent), []).append((row.numbers["send_chance"], came))
    return found


def _skips(since: datetime, until: datetime) -> dict[Any, int]:
    found: dict[Any, int] = {}
    for row in SkipCount.objects.all():
        if since <= row.minute < until:
            key = (row.label, row.intent, row.reason)
            found[key] = found.get(key, 0) + row.count
    return found
