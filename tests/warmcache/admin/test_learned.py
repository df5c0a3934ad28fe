"""What was learned, beside what was assumed, as an operator reads it; and what the figures mean."""

from pathlib import Path

import pytest
from django.test import Client
from django.urls import reverse

from tests.warmcache.admin.test_ledger import page, words
from warmcache.admin.numbers import MEANINGS, NOTES
from warmcache.core.forecast.forecasts import Forecasts
from warmcache.core.intents import Sign
from warmcache.models import LearnedEvidence

pytestmark = pytest.mark.django_db

LEARNED = "admin:warmcache_learnedevidence_changelist"
MODEL = "claude-sonnet-5-5"


def learn(label: str = "helpdesk", upstream: str = "anthropic") -> None:
    habits, speed = Forecasts(), Forecasts()
    for _ in range(88):
        habits.intent(Sign.TYPING).observe(sent=False)
    for _ in range(40):
        habits.after_reply.observe(400.0, returned=True)
        speed.prefill(MODEL).observe(uncached_tokens=50_000, cached_tokens=0, ttft_seconds=9.0)
    LearnedEvidence.objects.create(upstream=upstream, label=label, evidence=habits.to_dict())
    LearnedEvidence.objects.get_or_create(
        upstream=upstream, label=LearnedEvidence.SPEED, defaults={"evidence": speed.to_dict()}
    )


def test_nothing_learned_is_a_page_that_says_so(admin_client: Client) -> None:
    assert words(page(admin_client, LEARNED)).count("Nothing yet.") == 5


def test_learned_stands_beside_assumed_with_its_sample(admin_client: Client) -> None:
    learn()

    text = words(page(admin_client, LEARNED, upstream="anthropic"))

    assert "typing: a message follows 10.6% 85.0% 84.3" in text
    assert "opened: a message follows 35.0% 35.0% 0" in text
    assert "after a reply, nobody comes for 5 min" in text
    assert "0, too few: assumed" in text
    assert f"{MODEL}: reading 50,000 tokens from the cache saves" in text
    assert "tokens of a reply 300 300 0" in text


def test_each_upstream_and_each_label_has_its_own(admin_client: Client) -> None:
    learn()
    learn(label="sales", upstream="simulator")

    assert "sales" not in words(page(admin_client, LEARNED, upstream="anthropic"))
    assert "sales" in words(page(admin_client, LEARNED, upstream="simulator"))
    assert "Nothing was learned under that name." in words(page(admin_client, LEARNED, label="nobody"))


def test_evidence_of_another_shape_is_no_error(admin_client: Client) -> None:
    LearnedEvidence.objects.create(upstream="anthropic", label="old", evidence={"intents": {}, "prefills": {MODEL: {}}})

    assert "old" in words(page(admin_client, LEARNED, upstream="anthropic"))


def test_the_page_of_meanings_and_the_document_say_the_same(admin_client: Client) -> None:
    text = words(page(admin_client, "admin:warmcache_numbers"))
    document = " ".join((Path(__file__).parents[3] / "docs" / "console.md").read_text(encoding="utf-8").split())

    for row in MEANINGS:
        assert " ".join(row) in text
        assert f"| {' | '.join(row)} |" in document
    for name, note in NOTES:
        assert f"**{name}** {note}" in document
    assert reverse("admin:warmcache_numbers") in page(admin_client, "admin:warmcache_dashboard_changelist")
