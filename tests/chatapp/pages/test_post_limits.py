"""How many forms and uploads a person and an address may send."""

import pytest
from django.test import Client

from chatapp.pages import post_limits
from chatapp.pages.post_limits import Buckets
from chatapp.protocol.limits import LIMITS
from tests.factories import make_conversation, make_user
from warmcache.testing import FakeClock

pytestmark = pytest.mark.django_db


def rename(client: Client, path: str, **headers: str) -> int:
    return client.post(path, {"title": "Another"}, headers=headers).status_code


def test_a_person_has_so_many_and_others_have_their_own(client, monkeypatch) -> None:
    clock = FakeClock()
    monkeypatch.setattr(post_limits, "of_persons", Buckets(capacity=5, per_second=1, clock=clock.now))
    monkeypatch.setattr(post_limits, "of_addresses", Buckets(capacity=100, per_second=1, clock=clock.now))
    ann, bob, other = make_user(), make_user(), Client()
    paths = [f"/c/{make_conversation(user).pk}/rename/" for user in (ann, bob)]
    client.force_login(ann)
    other.force_login(bob)

    found = [rename(client, paths[0]) for _ in range(7)]
    refused = client.post(paths[0], {"title": "Another"})
    of_bob = rename(other, paths[1])
    clock.advance(1)

    assert found == [204] * 5 + [429] * 2
    assert (refused.headers["Retry-After"], refused.json()["message"]) == (
        "1",
        "Too many requests at once. Try again in 1 s.",
    )
    assert of_bob == 204
    assert client.get("/").status_code != 429, "reading is free"
    assert rename(client, paths[0]) == 204


def test_an_address_has_so_many_signed_in_or_not(client, monkeypatch) -> None:
    clock = FakeClock()
    monkeypatch.setattr(post_limits, "of_addresses", Buckets(capacity=3, per_second=1, clock=clock.now))
    form = {"username": "ann", "password": "wrong"}

    found = [client.post("/accounts/login/", form, headers={"accept": "text/html"}) for _ in range(4)]
    elsewhere = client.post("/accounts/login/", form, REMOTE_ADDR="198.51.100.7")

    assert [page.status_code for page in found] == [200, 200, 200, 429]
    assert "too much at once" in found[-1].text
    assert elsewhere.status_code == 200


def test_names_are_forgotten_the_oldest_first(monkeypatch) -> None:
    monkeypatch.setattr(post_limits, "MAX_BUCKETS", 2)
    buckets = Buckets(capacity=1, per_second=0.5, clock=FakeClock().now)

    waits = [buckets.wait_seconds(name) for name in ("a", "a", "b", "c", "a")]

    assert waits == [0, 2, 0, 0, 0]


def test_a_person_who_attaches_thirty_files_meets_no_limit() -> None:
    assert LIMITS["post_burst"] >= 30 + 30
