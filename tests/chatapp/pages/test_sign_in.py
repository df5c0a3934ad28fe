"""Failed sign-ins: told in the log, and paused after too many, without keeping others out."""

import pytest
from django.contrib.auth.hashers import identify_hasher
from django.test import Client

from tests.factories import make_user

pytestmark = pytest.mark.django_db
HERE, ELSEWHERE = "203.0.113.5", "2001:db8::7"
RIGHT, WRONG = "correct horse", "a wrong horse"


@pytest.fixture(autouse=True)
def ann(db):
    return make_user("ann", is_staff=True)


def sign_in(name: str = "ann", password: str = WRONG, *, address: str = HERE, path: str = "/accounts/login/", **meta):
    return Client().post(path, {"username": name, "password": password}, REMOTE_ADDR=address, **meta)


@pytest.mark.parametrize("path", ["/accounts/login/", "/admin/login/"])
def test_the_sixth_attempt_is_refused_in_plain_words_even_with_the_right_password(path):
    first = [sign_in(path=path).status_code for _ in range(4)]
    fifth, right = sign_in(path=path), sign_in(password=RIGHT, path=path)

    assert first == [200] * 4
    assert (fifth.status_code, right.status_code) == (429, 429)
    assert "Try again in 15 minutes" in right.content.decode()
    assert right.headers["Retry-After"] == "900"
    assert "sessionid" not in right.cookies


def test_a_paused_sign_in_hashes_no_password(monkeypatch):
    for _ in range(5):
        sign_in()
    hashed = []
    hasher = type(identify_hasher(make_user("bob").password))
    monkeypatch.setattr(hasher, "verify", lambda *args: hashed.append(args) or False)

    sign_in()

    assert hashed == []


def test_others_are_not_kept_out():
    make_user("bob")
    for _ in range(6):
        sign_in()

    assert sign_in("bob", RIGHT).status_code == 302
    assert sign_in("ann", RIGHT, address=ELSEWHERE).status_code == 302


def test_a_success_clears_one_s_own_failures_only():
    make_user("bob")
    for _ in range(4):
        sign_in("ann")
        sign_in("bob")

    assert sign_in("bob", RIGHT).status_code == 302

    assert sign_in("bob").status_code == 200
    assert sign_in("ann").status_code == 429


def test_one_address_that_tries_many_names_is_paused():
    for number in range(50):
        sign_in(f"name {number}")

    assert sign_in("ann", RIGHT).status_code == 429
    assert sign_in("ann", RIGHT, address=ELSEWHERE).status_code == 302


def test_one_name_that_is_tried_from_many_addresses_is_paused():
    for number in range(50):
        sign_in(address=f"198.51.100.{number}")

    assert sign_in(password=RIGHT, address=ELSEWHERE).status_code == 429


def test_another_browser_or_path_is_not_another_chance():
    for number in range(5):
        sign_in(path=("/accounts/login/", "/admin/login/")[number % 2], HTTP_USER_AGENT=f"browser {number}")

    assert sign_in(password=RIGHT).status_code == 429


def test_each_failure_is_a_line_with_the_address(caplog):
    sign_in()
    sign_in(address=ELSEWHERE)
    sign_in("my secret passphrase")
    for _ in range(5):
        sign_in()

    lines = [record.getMessage() for record in caplog.records if record.name == "chatapp.accounts.sign_in_limits"]
    assert lines[:3] == [
        "A sign-in as 'ann' from 203.0.113.5 failed.",
        "A sign-in as 'ann' from 2001:db8::7 failed.",
        "A sign-in as somebody unknown from 203.0.113.5 failed.",
    ]
    assert lines[-1] == "A sign-in as 'ann' from 203.0.113.5 was refused: too many have failed."
    assert len(lines) == 8


@pytest.mark.parametrize("address", ["", "unknown", "' OR 1=1"])
def test_an_address_that_is_none_counts_as_one(address):
    assert [sign_in(address=address).status_code for _ in range(5)] == [200] * 4 + [429]
