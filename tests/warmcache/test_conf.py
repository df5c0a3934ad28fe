from dataclasses import fields
from decimal import Decimal
from typing import Any

import pytest

from warmcache.conf import Config, get_config, read_config
from warmcache.core.errors import ConfigurationError
from warmcache.management.commands.warmcache_settings import page

GOOD_PRICES = {"input": 1, "output": 2, "cache_read": 0.5, "cache_write_5m": 3, "cache_write_1h": 4}


def test_an_empty_dict_gives_every_default() -> None:
    assert read_config({}) == Config()


def test_none_counts_as_not_given() -> None:
    assert read_config({"BASE_URL": None}).base_url == "https://api.anthropic.com"


def test_numbers_may_come_as_text_and_become_what_they_are() -> None:
    config = read_config({"MAX_COST_PER_WARM_UP_USD": "0.10", "MAX_TRIES": "2", "IDLE_TIMEOUT_SECONDS": 30})

    assert (config.max_cost_per_warm_up_usd, config.max_tries, config.idle_timeout_seconds) == (
        Decimal("0.10"),
        2,
        30.0,
    )


@pytest.mark.parametrize(
    ("entries", "says"),
    [
        ({"ENABLE": True}, "'ENABLE'"),
        ({1: True}, "1"),
        ({"ENABLED": "yes"}, "must be a bool"),
        ({"ENABLED": 1}, "must be a bool"),
        ({"API_KEY": 5}, "must be a str"),
        ({"MAX_TRIES": "many"}, "must be a number"),
        ({"MAX_TRIES": 1.5}, "must be a number"),
        ({"MAX_TRIES": 0}, "at least 1"),
        ({"MAX_CONCURRENT_WARM_UPS": 0}, "at least 1"),
        ({"IDLE_TIMEOUT_SECONDS": -1}, "must not be negative"),
        ({"IDLE_TIMEOUT_SECONDS": "nan"}, "finite"),
        ({"IDLE_TIMEOUT_SECONDS": "inf"}, "finite"),
        ({"MAX_COST_PER_WARM_UP_USD": "NaN"}, "finite"),
        ({"MAX_COST_PER_WARM_UP_USD": "Infinity"}, "finite"),
        ({"UPSTREAM": "openai"}, "'anthropic', 'simulator' or 'local'"),
        ({"UPSTREAM": ["local"]}, "'anthropic', 'simulator' or 'local'"),
        ({"HOLDOUT_SHARE": 1.5}, "between 0 and 1"),
        ({"INTENTS": "typing"}, "must be a list of open, typing"),
        ({"INTENTS": ["typing", ["open"]]}, "must be a list of open, typing"),
        ({"PRICES": "cheap"}, "must be a dict"),
        ({"PRICES": {"m": {"input": 1}}}, "exactly these entries"),
        ({"PRICES": {"m": {**GOOD_PRICES, "input": "one"}}}, "['m']['input'] must be a number"),
        ({"PRICES": {"m": {**GOOD_PRICES, "input": -1}}}, "must not be negative"),
        (["ENABLED"], "must be a dict"),
    ],
)
def test_what_cannot_be_read_is_named(entries: Any, says: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        read_config(entries)

    assert says in str(raised.value)


def test_intents_are_kept_in_their_own_order() -> None:
    assert read_config({"INTENTS": ["attach", "typing", "attach"]}).intents == ("typing", "attach")


def test_secrets_do_not_show_in_a_traceback() -> None:
    assert "sk-hush" not in repr(Config(api_key="sk-hush", secret="sk-hush too"))


def test_another_key_upstream_or_secret_makes_other_hashes() -> None:
    keys = {
        Config(**options).prefix_key
        for options in ({}, {"api_key": "a"}, {"api_key": "b"}, {"base_url": "http://x"}, {"secret": "s"})
    }

    assert len(keys) == 5


def test_a_prefix_key_does_not_hold_the_api_key() -> None:
    assert "sk-hush" not in repr(Config(api_key="sk-hush").prefix_key)


def test_changed_settings_are_read_again(settings: Any) -> None:
    settings.WARMCACHE = {"ENABLED": False}
    off = get_config().enabled
    settings.WARMCACHE = {}

    assert (off, get_config().enabled) == (False, True)


def test_every_setting_says_what_it_is_for() -> None:
    rows = [line for line in page().splitlines() if line.startswith("| `")]

    assert len(rows) == len(fields(Config))
    assert [row for row in rows if row.endswith("|  |")] == []
