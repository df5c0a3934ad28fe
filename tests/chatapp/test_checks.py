"""Configuration that is told of before it fails."""

import pytest
from django.core.checks import run_checks

from chatapp import checks, front_end


def ids(found) -> list[str]:
    return [message.id for message in found]


@pytest.mark.django_db  # Django 6 asks SQLite what it can
def test_the_configuration_of_these_tests_is_clean():
    assert run_checks() == []


@pytest.fixture
def without_packages(settings, monkeypatch) -> None:
    monkeypatch.setattr("django.contrib.staticfiles.finders.find", lambda name: None)
    settings.COLLECTED = False


@pytest.mark.parametrize(
    ("command", "expected"),
    [("migrate", "W001"), ("check", "E008"), ("collectstatic", "E008"), ("serve", "E008")],
)
def test_missing_front_end_packages_stop_what_shows_pages(settings, without_packages, command, expected):
    settings.COMMAND, settings.COLLECTED = command, command == "collectstatic"

    (found,) = checks.check_front_end_packages(None)

    assert found.id == f"chatapp.{expected}"
    assert "make setup" in found.hint


def test_collected_files_need_no_packages_unless_they_lack_them(settings, without_packages, monkeypatch):
    settings.COMMAND, settings.COLLECTED = "serve", True
    collected = {name: f"{name}.hash" for name in front_end.FILES}
    monkeypatch.setattr(front_end.staticfiles_storage, "hashed_files", collected, raising=False)
    complete = checks.check_front_end_packages(None)
    del collected["npm/dompurify/purify.es.mjs"]
    (found,) = checks.check_front_end_packages(None)

    assert complete == []
    assert found.id == "chatapp.E008"
    assert "npm/dompurify/purify.es.mjs" in found.msg
    assert "collectstatic" in found.hint


def test_several_processes_on_sqlite_are_warned_of(settings):
    settings.DATABASE = {"ENGINE": "django.db.backends.sqlite3"}
    settings.REDIS_URL = "redis://localhost/0"

    assert ids(checks.check_one_process_on_sqlite(None)) == ["chatapp.W002"]


@pytest.mark.parametrize(("engine", "redis_url"), [("sqlite3", ""), ("postgresql", "redis://localhost/0")])
def test_databases_that_fit_are_not(settings, engine, redis_url):
    settings.DATABASE = {"ENGINE": f"django.db.backends.{engine}"}
    settings.REDIS_URL = redis_url

    assert checks.check_one_process_on_sqlite(None) == []


def test_an_address_without_a_key_is_an_error(settings):
    settings.ANTHROPIC_BASE_URL = "http://127.0.0.1:9"

    assert ids(checks.check_upstream(None)) == ["chatapp.E001"]


def test_deployment_needs_a_key_of_its_own_and_https(settings):
    settings.SECRET_KEY_FROM_ENV = settings.HTTPS = False

    assert ids(checks.check_deployment(None)) == ["chatapp.W003", "chatapp.W004"]


SQLITE = {
    "ENGINE": "django.db.backends.sqlite3",
    "OPTIONS": {"transaction_mode": "IMMEDIATE", "init_command": "PRAGMA journal_mode=WAL;"},
}
POSTGRESQL = {
    "ENGINE": "django.db.backends.postgresql",
    "CONN_MAX_AGE": 0,
    "CONN_HEALTH_CHECKS": True,
    "OPTIONS": {"pool": {"max_size": 10}, "options": "-c statement_timeout=5000"},
}


@pytest.mark.parametrize("database", [SQLITE, POSTGRESQL], ids=["sqlite", "postgresql"])
def test_connections_as_this_project_sets_them_are_clean(settings, database):
    settings.DATABASE = database

    assert checks.check_connections(None) == []


@pytest.mark.parametrize(
    ("database", "expected"),
    [
        (SQLITE | {"OPTIONS": {}}, "chatapp.W006"),
        (SQLITE | {"CONN_MAX_AGE": 60}, "chatapp.E002"),
        (POSTGRESQL | {"CONN_HEALTH_CHECKS": False}, "chatapp.E004"),
        (POSTGRESQL | {"OPTIONS": {**POSTGRESQL["OPTIONS"], "pool": {"max_size": 8}}}, "chatapp.E003"),
        (POSTGRESQL | {"OPTIONS": {**POSTGRESQL["OPTIONS"], "pool": True}}, "chatapp.E003"),
        (POSTGRESQL | {"OPTIONS": {"pool": {"max_size": 10}}}, "chatapp.W005"),
    ],
)
def test_connections_that_would_run_out_or_die_are_told_with_what_to_do(settings, database, expected):
    settings.DATABASE = database

    (found,) = checks.check_connections(None)

    assert found.id == expected
    assert found.hint


def test_a_migration_may_take_as_long_as_it_needs(settings):
    settings.DATABASE = POSTGRESQL | {"OPTIONS": {"pool": {"max_size": 10}}}
    settings.COMMAND = "migrate"

    assert checks.check_connections(None) == []


@pytest.mark.parametrize(
    ("layer", "redis_url", "expected"),
    [
        ({"BACKEND": checks.IN_MEMORY_LAYERS[0]}, "", []),
        ({"BACKEND": checks.IN_MEMORY_LAYERS[0]}, "redis://localhost/0", ["chatapp.E005"]),
        ({"BACKEND": checks.IN_MEMORY_LAYERS[1]}, "redis://localhost/0", ["chatapp.E005"]),
        ({"BACKEND": checks.STEADY_LAYER, "CONFIG": {"hosts": ["redis://localhost/0"]}}, "redis://localhost/0", []),
        ({"BACKEND": "channels_redis.core.RedisChannelLayer"}, "redis://localhost/0", ["chatapp.E006"]),
        ({"BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer"}, "redis://localhost/0", ["chatapp.E007"]),
        (
            {
                "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
                "CONFIG": {"hosts": [{"address": "redis://localhost/0", "socket_timeout": None}]},
            },
            "redis://localhost/0",
            [],
        ),
    ],
)
def test_a_channel_layer_that_would_lose_events_is_refused(settings, layer, redis_url, expected):
    settings.CHANNEL_LAYERS = {"default": layer}
    settings.REDIS_URL = redis_url

    assert ids(checks.check_channel_layer(None)) == expected
