from typing import Any

import pytest
from django.core.checks import run_checks

from warmcache.checks import check_settings

GOOD = {"UPSTREAM": "anthropic", "API_KEY": "k"}


def ids(settings: Any, **entries: Any) -> list[str | None]:
    settings.WARMCACHE = {**GOOD, **entries}
    return [message.id for message in check_settings()]


def test_good_settings_pass_in_silence(settings: Any) -> None:
    assert ids(settings) == []


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ({"ENABEL": True}, ["warmcache.E001"]),
        ({"MAX_TRIES": 0}, ["warmcache.E001"]),
        ({"STORE": "nowhere.Store"}, ["warmcache.E002"]),
        ({"STORE": "warmcache.stores.memory.NoSuchStore"}, ["warmcache.E002"]),
        ({"STORE": "Store"}, ["warmcache.E002"]),
        ({"STORE": "warmcache.testing.FakeClock"}, ["warmcache.E002"]),
        ({"REDIS_URL": "redis://127.0.0.1:1/0"}, []),
        ({"API_KEY": ""}, ["warmcache.W001"]),
        ({"API_KEY": "", "UPSTREAM": "simulator"}, []),
        ({"API_KEY": "", "UPSTREAM": "local", "BASE_URL": "http://models.lan"}, []),
        ({"BASE_URL": "http://gateway.example"}, ["warmcache.W002"]),
        ({"BASE_URL": "http://127.0.0.1:9000"}, []),
        ({"BASE_URL": "http://localhost:9000"}, []),
        ({"BASE_URL": "https://gateway.example/v1/"}, ["warmcache.W004"]),
        ({"BASE_URL": "https://gateway.example/v1-old"}, []),
        ({"PROVIDER": "nowhere.Provider"}, ["warmcache.E004"]),
        ({"PROVIDER": "warmcache.testing.FakeClock"}, ["warmcache.E004"]),
        ({"PROVIDER": "warmcache.testing.DummyProvider", "API_KEY": ""}, []),
        ({"CLIENT": "anthropic.AsyncAnthropicNowhere"}, ["warmcache.E004"]),
        ({"CLIENT": "warmcache.testing.MODEL"}, ["warmcache.E004"]),
        ({"CLIENT": "warmcache.testing.make_prompt", "API_KEY": ""}, []),
        ({"MAX_COST_PER_WARM_UP_USD": 0}, ["warmcache.W003"]),
        ({"MAX_COST_PER_WARM_UP_USD": 0, "ENABLED": False}, []),
        ({"API_KEY": "", "STORE": "nowhere.Store"}, ["warmcache.E002", "warmcache.W001"]),
    ],
    ids=str,
)
def test_each_problem_has_its_own_id(settings: Any, entries: dict[str, Any], expected: list[str]) -> None:
    assert ids(settings, **entries) == expected


def test_every_message_says_what_to_do(settings: Any) -> None:
    for entries in ({"ENABEL": 1}, {"STORE": "x.Y"}, {"API_KEY": ""}, {"MAX_COST_PER_WARM_UP_USD": 0}):
        settings.WARMCACHE = {**GOOD, **entries}
        for message in check_settings():
            assert message.hint
            assert next(iter(entries)) in message.msg


def test_a_key_never_shows_in_a_message(settings: Any) -> None:
    settings.WARMCACHE = {"API_KEY": "sk-hush", "BASE_URL": "http://gateway.example", "STORE": "x.Y"}

    assert "sk-hush" not in "".join(f"{message.msg} {message.hint}" for message in check_settings())


def test_manage_py_check_runs_them(settings: Any) -> None:
    settings.WARMCACHE = {"ENABEL": True}

    assert "warmcache.E001" in [message.id for message in run_checks(tags=["warmcache"])]
