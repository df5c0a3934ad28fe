"""The one-time way in: GET shows a button, POST uses it up, and only on this machine."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from chatapp.accounts import sign_in_links
from chatapp.models import SignInLink, User
from tests.factories import make_user

pytestmark = pytest.mark.django_db(transaction=True)


def local_client(**options: Any) -> Client:
    return Client(SERVER_NAME="localhost", **options)


@pytest.fixture
def client() -> Client:
    return local_client()


@pytest.fixture
def token() -> str:
    return sign_in_links.create(make_user("demo"))


def test_looking_at_the_link_shows_a_button_and_uses_nothing_up(client, token):
    first, second = (client.get(f"/sign-in/{token}/") for _ in range(2))

    assert (first.status_code, second.status_code) == (200, 200)
    assert b"Sign in as demo" in second.content
    assert "_auth_user_id" not in client.session


def test_pressing_the_button_signs_in_once(client, token):
    signed_in = client.post(f"/sign-in/{token}/")
    again = local_client().post(f"/sign-in/{token}/")

    assert (signed_in.status_code, signed_in["Location"]) == (302, "/")
    assert client.session["_auth_user_id"] == str(SignInLink.objects.get().user_id)
    assert again.status_code == 410
    assert b"has been used" in again.content


def test_the_link_needs_the_token_of_its_own_page(token):
    response = local_client(enforce_csrf_checks=True).post(f"/sign-in/{token}/")

    assert response.status_code == 403
    assert sign_in_links.consume(token, now=timezone.now()) == SignInLink.objects.get().user


def test_a_second_press_in_a_page_from_before_the_sign_in_says_where_to_go(token):
    client = local_client(enforce_csrf_checks=True)
    client.get(f"/sign-in/{token}/")
    csrf = client.cookies["csrftoken"].value
    client.post(f"/sign-in/{token}/", {"csrfmiddlewaretoken": csrf})

    again = client.post(f"/sign-in/{token}/", {"csrfmiddlewaretoken": csrf})

    assert "_auth_user_id" in client.session
    assert again.status_code == 403
    assert b"This page was out of date" in again.content
    assert b'href="/"' in again.content


def test_an_old_link_lets_nobody_in(client, token):
    SignInLink.objects.update(created_at=timezone.now() - SignInLink.LIFETIME - timedelta(seconds=1))

    response = client.post(f"/sign-in/{token}/")

    assert response.status_code == 410
    assert b"has expired" in response.content
    assert "_auth_user_id" not in client.session


def test_an_unknown_link_says_what_to_do(client):
    response = client.get("/sign-in/nothing/")

    assert response.status_code == 404
    assert b"make run" in response.content


def test_a_deactivated_user_is_not_let_in(client, token):
    User.objects.update(is_active=False)

    client.post(f"/sign-in/{token}/")

    assert "_auth_user_id" not in client.session


@pytest.mark.parametrize(
    "request_facts",
    [
        {"REMOTE_ADDR": "192.0.2.7"},
        {"HTTP_HOST": "chat.example"},
        {"HTTP_X_FORWARDED_FOR": "192.0.2.7"},
        {"HTTP_FORWARDED": "for=192.0.2.7"},
    ],
)
@pytest.mark.parametrize("method", ["get", "post"])
def test_from_elsewhere_the_link_does_not_exist(client, settings, token, request_facts, method):
    settings.ALLOWED_HOSTS = ["chat.example", "localhost"]

    response = getattr(client, method)(f"/sign-in/{token}/", **request_facts)

    assert response.status_code == 404
    assert b"demo" not in response.content
    assert SignInLink.objects.get().used_at is None


def test_of_many_at_once_exactly_one_gets_in(token):
    barrier = Barrier(8)

    def consume() -> bool:
        barrier.wait()
        try:
            return sign_in_links.consume(token, now=timezone.now()) is not None
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        results = [future.result() for future in [pool.submit(consume) for _ in range(8)]]

    assert sum(results) == 1


def test_making_a_link_clears_away_the_ones_that_are_too_old(token):
    SignInLink.objects.update(created_at=timezone.now() - timedelta(days=3))

    fresh = sign_in_links.create(User.objects.get())

    assert list(SignInLink.objects.all()) == [sign_in_links.find(fresh)]


def test_the_database_does_not_hold_what_lets_somebody_in(token):
    (row,) = SignInLink.objects.values_list()

    assert token not in str(row)
    assert sign_in_links.consume(str(row[1]), now=timezone.now()) is None
