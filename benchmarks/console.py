"""What the operator's pages take on a large ledger: 1,000,000 rows of 90 days, in SQLite and in PostgreSQL.

The pages are asked for as an operator would, through Django's own test client; each is told in milliseconds on the
clock and of the processor, the database's included, beside the statements it needed. `CONSOLE_ROWS` sets another number
of rows.
"""

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.servers.chat_server import ROOT, clean_environment
from tests.servers.postgres_server import PostgresServer

ROWS = int(os.environ.get("CONSOLE_ROWS", "1000000"))
DAYS = 90
WARM_UPS = "warmcache_warmup"
LABELS, PEOPLE = 12, 2000
BATCH = 5000
DRAWN = 20_000
"""So many rows are drawn; the others are copies of them in the database, shifted in time."""
SHIFT_MINUTES = 26
TIMES = 5
BOUNDS_MS = {"sqlite": 1000, "postgresql": 300}


def run() -> None:
    with tempfile.TemporaryDirectory() as folder:
        _measure(f"sqlite:///{Path(folder) / 'db.sqlite3'}")
    with PostgresServer() as server:
        _measure(server.url)


def _measure(database_url: str) -> None:
    """In a process of its own, since Django is set up for one database."""
    own = {"DATABASE_URL": database_url, "CONSOLE_ROWS": str(ROWS), "DJANGO_SETTINGS_MODULE": "chatapp.settings"}
    subprocess.run([sys.executable, "-m", "benchmarks.console"], cwd=ROOT, env=clean_environment(**own), check=True)


def main() -> None:
    import django

    django.setup()
    from django.core.management import call_command
    from django.db import connection
    from django.test.utils import setup_test_environment

    setup_test_environment()
    # A filling takes longer than a page may.
    connection.settings_dict.get("OPTIONS", {}).pop("options", None)
    call_command("migrate", verbosity=0)
    began = time.perf_counter()
    _fill()
    _multiply()
    filled = time.perf_counter()
    _roll_up()
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")
    print(
        f"{connection.vendor}, {ROWS:,} rows: filled in {filled - began:.0f} s,"
        f" rolled up in {time.perf_counter() - filled:.0f} s",
        flush=True,
    )
    _ask_for_pages()


def _fill() -> None:
    from datetime import UTC, datetime, timedelta
    from decimal import Decimal
    from random import Random
    from uuid import UUID

    from django.db import transaction

    from warmcache.models import UsageRecord, WarmUp, WarmUpLine

    draw, now = Random(1), datetime.now(tz=UTC)  # noqa: S311 - a repeatable draw
    for start in range(0, min(ROWS, DRAWN), BATCH * 3):
        warm_ups, lines, requests = [], [], []
        for number in range(start, min(start + BATCH * 3, ROWS, DRAWN), 3):
            at = now - timedelta(seconds=draw.uniform(0, DAYS * 86_400))
            common = {
                "label": f"assistant-{draw.randrange(LABELS)}",
                "subject": f"user {draw.randrange(PEOPLE)}",
                "model": draw.choice(("claude-sonnet-5-5", "claude-opus-5-5")),
                "upstream": "anthropic",
                "prefix_hash": f"{draw.randrange(10**6):064d}",
                "place": f"conversation {UUID(int=draw.randrange(10**6))}",
                "cost_usd": Decimal(draw.randrange(10**6)).scaleb(-8),
            }
            outcome = draw.choice(("hit", "hit", "joined", "unused"))
            numbers = {"send_chance": 0.7, "saved_seconds": 1.5}
            intent = draw.choice(("typing", "open", "attach"))
            row = WarmUp(
                **{**common, "request_id": f"w{number}"},
                **{"intent": intent, "reason": "cold", "outcome": outcome, "numbers": numbers},
                **{"started_at": at, "settled_at": at},
            )
            warm_ups.append(row)
            lines.append(
                WarmUpLine(
                    **{"warm_up": row, "position": 0, "layer": "shared", "prefix_hash": row.prefix_hash},
                    **{"ttl_seconds": 300, "outcome": outcome, "cost_usd": row.cost_usd, "written_tokens": 5000},
                    credited_tokens=5000 if outcome != "unused" else 0,
                )
            )
            requests.append(
                UsageRecord(
                    **{**common, "request_id": f"r{number}", "status": "complete", "intent": intent},
                    **{"warmth": draw.choice(("hit", "cold")), "ttft_ms": round(draw.lognormvariate(7, 0.6))},
                    **{"numbers": numbers, "started_at": at + timedelta(seconds=9), "cache_read_tokens": 4000},
                )
            )
        with transaction.atomic():
            for model, rows in ((WarmUp, warm_ups), (WarmUpLine, lines), (UsageRecord, requests)):
                model.objects.bulk_create(rows, batch_size=500)  # type: ignore[attr-defined]


def _multiply() -> None:
    from django.db import connection

    from warmcache.models import UsageRecord, WarmUp, WarmUpLine

    for number in range(1, max(1, ROWS // DRAWN)):
        with connection.cursor() as cursor:
            for model in (WarmUp, WarmUpLine, UsageRecord):
                cursor.execute(_copying(model, number, connection.vendor))


def _copying(model: Any, number: int, vendor: str) -> str:
    minutes = number * SHIFT_MINUTES
    is_sqlite, is_line = vendor == "sqlite", hasattr(model, "warm_up_id") and not hasattr(model, "ttft_ms")

    def value(field: Any) -> str:
        name = field.column
        if name in ("id", "warm_up_id") and field.get_internal_type() in ("UUIDField", "ForeignKey"):
            begin = name if is_sqlite else f"replace({name}::text, '-', '')"
            # Of another version than what was drawn, so that no copy has the id of a drawn row.
            copy = f"substr({begin}, 1, 12) || '5' || substr({begin}, 14, 17) || '{number:02x}'"
            return copy if is_sqlite else f"({copy})::uuid"
        if name in ("started_at", "settled_at"):
            if is_sqlite:
                return f"strftime('%Y-%m-%d %H:%M:%f', {name}, '-{minutes} minutes')"
            return f"{name} - interval '{minutes} minutes'"
        return f"{name} || '-{number}'" if name == "request_id" and not is_line else name

    fields = [field for field in model._meta.concrete_fields if field.get_internal_type() != "BigAutoField"]
    columns, values = ", ".join(field.column for field in fields), ", ".join(map(value, fields))
    table = model._meta.db_table
    # What was drawn has no dash in its request id.
    drawn = "request_id NOT LIKE '%-%'"
    if is_line:
        drawn = f"warm_up_id IN (SELECT id FROM {WARM_UPS} WHERE {drawn})"  # noqa: S608
    return f"INSERT INTO {table} ({columns}) SELECT {values} FROM {table} WHERE {drawn}"  # noqa: S608 - our own words


def _roll_up() -> None:
    from warmcache.ledger.rollups import catch_up
    from warmcache.upstream.prices import rates_for

    catch_up(time.time(), rates_for, rows_at_once=None)


def _ask_for_pages() -> None:
    from django.db import connection as database
    from django.test import Client
    from django.test.utils import CaptureQueriesContext

    from chatapp.models import User

    client = Client()
    client.force_login(User.objects.create_superuser("operator"), backend="django.contrib.auth.backends.ModelBackend")
    print(f"  {'':<36}{'wall':>11}{'processor':>11}, load {os.getloadavg()[0]:.1f}", flush=True)
    pages = {
        "dashboard, 24 hours": "dashboard/?since=24h&upstream=anthropic",
        "dashboard, 7 days": "dashboard/?since=7d&upstream=anthropic",
        "dashboard, 30 days": "dashboard/?since=30d&upstream=anthropic",
        "dashboard, 30 days, one assistant": "dashboard/?since=30d&upstream=anthropic&label=assistant-3",
        "warm-ups": "warmup/",
        "warm-ups, one assistant": "warmup/?label=assistant-3",
        "warm-ups, one day": "warmup/?since=24h",
        "search, a person": "warmup/?q=user+12",
        "search, a request id": "usagerecord/?q=r999",
        "the policy, judged by 7 days": "warmpolicy/add/",
        "the slowest of the day": "usagerecord/?purpose=reply&since=24h&ttft_ms__isnull=False&o=-3",
    }
    for name, path in pages.items():
        spent, computed = [], []
        for _ in range(TIMES):
            with CaptureQueriesContext(database) as queries:
                began, began_computing = time.perf_counter(), _computing()
                answer = client.get(f"/admin/warmcache/{path}")
                spent.append((time.perf_counter() - began) * 1000)
                computed.append((_computing() - began_computing) * 1000)
            assert answer.status_code == 200, (path, answer.status_code)
        bound = BOUNDS_MS[database.vendor]
        middle, own = statistics.median(spent), statistics.median(computed)
        late = "" if own <= bound else f"  OVER {bound} ms"
        print(f"  {name:<36}{middle:>8.0f} ms{own:>8.0f} ms  {len(queries):>3} statements{late}", flush=True)
    _export(client)


def _computing() -> float:
    """Processor seconds of this process and, where it has one, of its database's process: other load does not count."""
    from django.db import connection

    spent = time.process_time()
    if connection.vendor == "postgresql" and (pid := connection.connection.info.backend_pid):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        spent += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return spent


def _export(client: Any) -> None:
    """All rows of the largest list as a file: time does not matter much here, memory does."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began, size_bytes, lines = time.perf_counter(), 0, 0
    for part in client.get("/admin/warmcache/usagerecord/export.csv").streaming_content:
        size_bytes += len(part)
        lines += part.count(b"\n")
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(
        f"  {'export of the real requests':<36}{time.perf_counter() - began:>8.1f} s   {lines - 1:,} rows,"
        f" {size_bytes / 1e6:.0f} MB, {grown / 1024:.1f} MB more memory",
        flush=True,
    )


if __name__ == "__main__":
    main()
