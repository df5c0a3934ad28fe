"""`/metrics`: who may read it, and that it tells what happened."""

import re
from datetime import timedelta
from decimal import Decimal
from uuid import uuid4

import pytest
from django.contrib.auth.models import Permission
from django.db import DatabaseError, connection
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from chatapp.models import User
from chatapp.process import warm_metrics
from chatapp.protocol import ReplyFinished
from chatapp.protocol.views import UsageView
from chatapp.replies import metrics
from warmcache import services
from warmcache.conf import get_config
from warmcache.models import WarmPolicy, WarmUp
from warmcache.stores import health as redis_health
from warmcache.testing import fake_runtime, make_prompt

TOKEN = "a-long-word"
BEARER = {"Authorization": f"Bearer {TOKEN}"}

pytestmark = pytest.mark.django_db


@pytest.fixture
def read(client, settings):
    """The samples by name and labels, as a Prometheus with the token reads them."""
    settings.METRICS_TOKEN = TOKEN

    def read_now() -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
        answer = client.get("/metrics", headers=BEARER)
        assert answer.status_code == 200
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(answer.content.decode())
            for sample in family.samples
        }

    return read_now


def warm_up(**known) -> WarmUp:
    columns = {"label": "python", "model": "claude-sonnet-5-5", "intent": "typing", "started_at": timezone.now()}
    return WarmUp.objects.create(id=uuid4(), **columns | known)


def key(name: str, **labels: str) -> tuple[str, frozenset[tuple[str, str]]]:
    return name, frozenset(labels.items())


@pytest.mark.parametrize("token", ["", TOKEN])
@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Bearer "}])
def test_a_stranger_is_told_what_to_ask_with(client, settings, headers, token):
    settings.METRICS_TOKEN = token

    answer = client.get("/metrics", headers=headers)

    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert "METRICS_TOKEN" in answer.content.decode()


def test_staff_may_read_it_only_with_the_right_to_view_warm_ups(client):
    staff = User.objects.create_user("olga", password="pw", is_staff=True)
    client.force_login(staff)

    before = client.get("/metrics").status_code
    staff.user_permissions.add(Permission.objects.get(codename="view_warmup"))
    after = client.get("/metrics")

    assert (before, after.status_code) == (401, 200)
    assert after.headers["Content-Type"].startswith("text/plain")


def test_staff_hear_that_the_database_is_away_instead_of_a_traceback(client):
    client.force_login(User.objects.create_superuser("root", password="pw"))

    def refuse(execute, sql, params, many, context):
        raise DatabaseError("gone")

    with connection.execute_wrapper(refuse):
        answer = client.get("/metrics")

    assert answer.status_code == 503
    assert "The database does not answer" in answer.content.decode()


@pytest.mark.django_db(transaction=True)
async def test_warm_ups_are_counted_by_outcome_skips_by_reason_and_dollars():
    assistant = f"assistant-{uuid4()}"  # counters live as long as the process

    async with fake_runtime():
        attempt = await services.prewarm_prefix(make_prompt(), intent="typing", label=assistant)
        await attempt.finished()
        await services.prewarm_prefix(make_prompt(), intent="typing", label=assistant)
        await services.respond(make_prompt(), "And now?", max_tokens=10, label=assistant)
        await services.flush()

    def counted(name: str, **labels: str) -> float | None:
        return warm_metrics.registry.get_sample_value(name, {"assistant": assistant, "intent": "typing", **labels})

    assert counted("warmcache_warm_ups_total", outcome="hit") == 1
    assert counted("warmcache_warm_ups_answered_total") == 1
    assert counted("warmcache_skips_total", reason="already_warm") == 1
    assert (counted("warmcache_warm_up_cost_usd_total") or 0) > 0


def test_the_policy_in_force_is_told_with_what_is_left_of_today_s_budget(read):
    WarmPolicy.objects.create(is_enabled=False, daily_usd=Decimal(10))
    warm_up(outcome="hit", cost_usd=Decimal("0.25"), upstream=get_config().upstream)
    warm_up(
        outcome="unused",
        cost_usd=Decimal(9),
        upstream=get_config().upstream,
        started_at=timezone.now() - timedelta(days=2),
    )

    told = read()

    assert told[key("warmcache_policy_warming_enabled")] == 0
    assert told[key("warmcache_policy_daily_budget_usd")] == 10
    assert told[key("warmcache_policy_daily_budget_left_usd")] == 9.75
    assert told[key("warmcache_database_up")] == 1


def test_a_process_tells_what_keeps_it_from_warming(read):
    class Lost:
        is_lost = True

    link = Lost()
    before = read()
    redis_health.watch(link)

    after = read()

    assert (before[key("warmcache_redis_lost")], after[key("warmcache_redis_lost")]) == (0, 1)
    assert after[key("warmcache_warming_paused")] == 0
    assert after[key("warmcache_database_threads", state="free")] > 0


def test_the_database_is_read_with_two_queries_however_long_the_ledger_is(client, settings, django_assert_num_queries):
    settings.METRICS_TOKEN = TOKEN
    for intent in ("typing", "open", "keep"):
        warm_up(intent=intent)

    with django_assert_num_queries(2):
        client.get("/metrics", headers=BEARER)


def test_a_database_that_is_down_costs_only_what_it_knows(read, monkeypatch):
    def fail(*_args, **_options):
        raise DatabaseError("gone")

    monkeypatch.setattr("chatapp.process.metrics.policy_and_budget_left", fail)

    told = read()

    assert told[key("warmcache_database_up")] == 0
    assert told[key("warmcache_running_replies")] == 0


def test_a_reply_is_counted_with_its_warmth_its_wait_its_tokens_and_its_cost(read):
    model = f"model-{uuid4()}"  # counters live as long as the process
    for status, warmth, ttft_ms in (("complete", "hit", 800), ("failed", "cold", None)):
        usage = UsageView(input_tokens=5, cache_read_tokens=60_000, cache_write_tokens=7, output_tokens=11)
        metrics.saw_reply(
            ReplyFinished(
                reply_id=uuid4(),
                epoch="1",
                seq=9,
                status=status,
                stop_reason=None,
                error=None,
                usage=usage if ttft_ms else None,
                warmth=warmth,
                ttft_ms=ttft_ms,
                cost_usd="0.0125" if ttft_ms else None,
                warm_up_id=None,
            ),
            assistant="python",
            model=model,
            own_seconds=0.03 if ttft_ms else None,
        )

    told = read()

    assert told[key("warmcache_replies_total", assistant="python", model=model, status="complete", warmth="hit")] == 1
    assert told[key("warmcache_replies_total", assistant="python", model=model, status="failed", warmth="cold")] == 1
    assert told[key("warmcache_reply_ttft_seconds_sum", assistant="python", model=model, warmth="hit")] == 0.8
    assert (
        told[key("warmcache_reply_ttft_seconds_bucket", assistant="python", model=model, warmth="hit", le="0.75")] == 0
    )
    assert (
        told[key("warmcache_reply_ttft_seconds_bucket", assistant="python", model=model, warmth="hit", le="1.0")] == 1
    )
    assert key("warmcache_reply_ttft_seconds_sum", assistant="python", model=model, warmth="cold") not in told
    assert told[key("warmcache_reply_tokens_total", model=model, kind="cache_read")] == 60_000
    assert told[key("warmcache_reply_cost_usd_total", assistant="python", model=model)] == 0.0125


@pytest.mark.django_db(transaction=True)
async def test_a_reply_over_a_socket_is_counted_once(open_tab, ann, assistant):
    labels = {"assistant": assistant.slug, "model": assistant.model, "status": "complete", "warmth": "cold"}
    before = metrics.registry.get_sample_value("warmcache_replies_total", labels) or 0
    tab = await open_tab(ann)

    await tab.say("Count this", assistant_id=assistant.pk)
    await tab.until("reply.finished")

    assert metrics.registry.get_sample_value("warmcache_replies_total", labels) == before + 1
    own = metrics.registry.get_sample_value("warmcache_reply_own_seconds_count", {"warmth": "cold"})
    assert own is not None and own >= 1


def test_every_name_says_whose_it_is_and_every_metric_what_it_means(client, settings):
    settings.METRICS_TOKEN = TOKEN

    text = client.get("/metrics", headers=BEARER).content.decode()

    names = set(re.findall(r"^# TYPE (\S+)", text, re.MULTILINE))
    assert all(name.startswith(("warmcache_", "process_")) for name in names)
    assert set(re.findall(r"^# HELP (\S+) \S", text, re.MULTILINE)) == names
