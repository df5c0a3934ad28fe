"""The operator's pages speak another language where there is a catalogue, and English where there is none."""

from django.contrib import admin
from django.utils import translation

from warmcache.admin.ledger import LINE_HEADINGS
from warmcache.models import Outcome, WarmPolicy, WarmUp, choices_of
from warmcache.words import reason_text


def test_columns_choices_names_and_reasons_are_translated() -> None:
    warm_ups = admin.site.get_model_admin(WarmUp)
    outcomes = dict(choices_of(Outcome))

    with translation.override("de"):
        found = [
            str(warm_ups.whom.short_description),  # type: ignore[attr-defined]
            str(warm_ups.get_fieldsets(None)[1][0]),  # type: ignore[arg-type]
            str(LINE_HEADINGS[0]),
            str(outcomes[Outcome.CANCELLED]),
            str(WarmPolicy._meta.verbose_name),
            reason_text("already_warm"),
        ]

    assert found == ["für wen", "Was geschah", "Schicht", "abgebrochen", "Regeln des Vorwärmens", "es ist schon warm"]


def test_a_language_without_a_catalogue_is_shown_in_english() -> None:
    with translation.override("fr"):
        assert reason_text("breaker_open") == "warm-ups of it have brought nothing lately"
