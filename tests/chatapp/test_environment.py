"""The readers of environment variables."""

import pytest
from django.core.exceptions import ImproperlyConfigured
from hypothesis import given
from hypothesis import strategies as st
from redis.connection import parse_url

from chatapp import environment as readers
from chatapp.settings import database_from_env


@pytest.mark.parametrize(
    ("text", "value"), [("1", True), ("on", True), ("TRUE", True), ("0", False), ("no", False), ("", True)]
)
def test_a_switch_is_read(monkeypatch, text, value):
    monkeypatch.setenv("SWITCH", text)

    assert readers.bool_from_env("SWITCH", default=True) is value


def test_a_switch_with_an_odd_value_is_refused(monkeypatch):
    monkeypatch.setenv("SWITCH", "maybe")

    with pytest.raises(ImproperlyConfigured, match="SWITCH is 'maybe'"):
        readers.bool_from_env("SWITCH", default=True)


@pytest.mark.parametrize("text", ["eighty", "70000", "-1", "nan"])
def test_a_number_out_of_range_is_refused(monkeypatch, text):
    monkeypatch.setenv("NUMBER", text)

    with pytest.raises(ImproperlyConfigured, match="from 0 to 65535"):
        readers.number_from_env("NUMBER", default=8000, least=0, most=65535)


@pytest.mark.parametrize(
    ("text", "hosts"),
    [
        ("", ["localhost"]),
        ("a.example,b.example", ["a.example", "b.example"]),
        ("a.example, b.example ,", ["a.example", "b.example"]),
        ("https://a.example/", ["a.example"]),
        ("A.example:8000", ["a.example"]),
        (".example.com *", [".example.com", "*"]),
        ("::1 [::1]:8000 127.0.0.1:80", ["[::1]", "[::1]", "127.0.0.1"]),
    ],
)
def test_hosts_are_read_however_they_are_written(monkeypatch, text, hosts):
    monkeypatch.setenv("HOSTS", text)

    assert readers.hosts_from_env("HOSTS", default=["localhost"]) == hosts


@pytest.mark.parametrize("text", ["a_b.example", "a.example:http", "https://", "a?b"])
def test_what_is_no_host_is_refused(monkeypatch, text):
    monkeypatch.setenv("HOSTS", text)

    with pytest.raises(ImproperlyConfigured, match=r"HOSTS has .* no host: write chat\.example\.com"):
        readers.hosts_from_env("HOSTS", default=[])


@pytest.mark.parametrize(
    ("text", "origins"),
    [
        ("", []),
        ("https://a.example/", ["https://a.example"]),
        ("https://A.example:443, http://b.example:8080", ["https://a.example", "http://b.example:8080"]),
        ("https://*.example.com", ["https://*.example.com"]),
        ("https://[::1]:443", ["https://[::1]"]),
    ],
)
def test_origins_are_read_as_browsers_send_them(monkeypatch, text, origins):
    monkeypatch.setenv("ORIGINS", text)

    assert readers.origins_from_env("ORIGINS") == origins


@pytest.mark.parametrize(
    "text",
    ["a.example", "https://", "ftp://a.example", "https://a.example/chat", "https://a.example:port", "https://["],
)
def test_what_is_no_origin_is_refused(monkeypatch, text):
    monkeypatch.setenv("ORIGINS", text)

    with pytest.raises(ImproperlyConfigured, match="ORIGINS has .* no origin: write the scheme and the host"):
        readers.origins_from_env("ORIGINS")


passwords = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1).filter(
    # `%` and two digits are read as quoted; a `/` behind an `@` cannot be told from a path that has an `@`.
    lambda text: "%" not in text
)


@given(passwords)
def test_any_password_arrives_whole_at_both_databases(password):
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("REDIS_URL", f"redis://:{password}@redis.internal:6380/3")
        monkeypatch.setenv("DATABASE_URL", f"postgres://ann:{password}@db.internal:5433/chat")
        redis = parse_url(readers.redis_url_from_env("REDIS_URL"))
        database = database_from_env()

    assert (redis["password"], redis["host"], redis["port"], redis["db"]) == (password, "redis.internal", 6380, 3)
    assert (database["PASSWORD"], database["HOST"], database["NAME"]) == (password, "db.internal", "chat")


def test_a_quoted_password_is_not_quoted_again(monkeypatch):
    monkeypatch.setenv("REDIS_URL", "redis://:p%40ss%23@localhost/0")

    assert parse_url(readers.redis_url_from_env("REDIS_URL"))["password"] == "p@ss#"


@pytest.mark.parametrize(
    "text",
    ["redis://:secret@localhost/abc", "redis:///0", "redis://:secret@localhost:port/0", "redis://:secret@[::1/0"],
)
def test_an_address_of_redis_that_would_be_read_otherwise_is_refused_without_its_password(monkeypatch, text):
    monkeypatch.setenv("REDIS_URL", text)

    with pytest.raises(ImproperlyConfigured, match="REDIS_URL") as caught:
        readers.redis_url_from_env("REDIS_URL")

    assert "secret" not in str(caught.value)


def test_a_socket_of_redis_is_a_path(monkeypatch):
    monkeypatch.setenv("REDIS_URL", "unix:///run/redis.sock?db=1")

    assert readers.redis_url_from_env("REDIS_URL") == "unix:///run/redis.sock?db=1"


@pytest.mark.parametrize("text", ["https://id.example.org/realms/a", "http://127.0.0.1:9400", "http://localhost", ""])
def test_an_issuer_is_reached_by_https_or_on_this_machine(monkeypatch, text):
    monkeypatch.setenv("ISSUER", text)

    assert readers.issuer_from_env("ISSUER") == text


@pytest.mark.parametrize("text", ["http://id.example.org", "http://localhost.example.org", "id.example.org"])
def test_an_issuer_that_somebody_between_could_play_is_refused(monkeypatch, text):
    monkeypatch.setenv("ISSUER", text)

    with pytest.raises(ImproperlyConfigured, match="ISSUER"):
        readers.issuer_from_env("ISSUER")


def test_one_of_a_few_words_is_read_and_another_is_refused(monkeypatch):
    words = ("off", "people", "staff")
    assert readers.word_from_env("WORD", words=words) == "off"

    monkeypatch.setenv("WORD", "Staff")
    assert readers.word_from_env("WORD", words=words) == "staff"

    monkeypatch.setenv("WORD", "everybody")
    with pytest.raises(ImproperlyConfigured, match="WORD is 'everybody': use off, people or staff"):
        readers.word_from_env("WORD", words=words)
