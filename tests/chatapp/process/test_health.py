"""`/healthz` and `/readyz`."""

from collections.abc import Iterator

import pytest
from django.db import DatabaseError, connection

from chatapp.process.health import Health, health
from warmcache.stores import health as redis_health


class FakeChild:
    def __init__(self) -> None:
        self.alive = True

    def is_alive(self) -> bool:
        return self.alive


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    yield
    health.draining.clear()
    health.simulator = None


def test_alive_needs_no_database(client):
    response = client.get("/healthz")

    assert (response.status_code, response.content) == (200, b"ok\n")


@pytest.mark.django_db
def test_ready_when_the_database_answers_with_every_migration(client):
    response = client.get("/readyz")

    assert (response.status_code, response.content) == (200, b"ok\n")


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_probes_come_by_address_whatever_hosts_are_allowed(client, settings, path):
    settings.ALLOWED_HOSTS = ["chat.example"]

    probe = client.get(path, headers={"host": "10.1.2.3:8000"})
    page = client.get("/accounts/login/", headers={"host": "10.1.2.3:8000"})

    assert (probe.status_code, page.status_code) == (200, 400)


@pytest.mark.django_db
def test_not_ready_without_the_files_of_the_page(client, monkeypatch):
    monkeypatch.setattr("chatapp.front_end.missing_files", lambda: ["npm/dompurify/purify.es.mjs"])

    assert Health().trouble() == "front-end"


@pytest.mark.django_db
def test_migrations_are_looked_up_once_and_then_one_query_suffices(django_assert_num_queries):
    known = Health()
    known.trouble()

    with django_assert_num_queries(1):
        assert known.trouble() is None


@pytest.mark.django_db
def test_not_ready_while_a_migration_is_missing():
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'chatapp'")

    assert Health().trouble() == "migrations"


@pytest.mark.django_db
def test_not_ready_without_the_database(client):
    def refuse(execute, sql, params, many, context):
        raise DatabaseError("gone")

    with connection.execute_wrapper(refuse):
        response = client.get("/readyz")

    assert (response.status_code, response.content) == (503, b"database\n")


@pytest.mark.django_db
def test_not_ready_once_the_simulator_has_died(client):
    health.simulator = child = FakeChild()
    before = client.get("/readyz").status_code
    child.alive = False

    response = client.get("/readyz")

    assert before == 200
    assert (response.status_code, response.content) == (503, b"simulator\n")


def test_not_ready_while_draining_but_alive(client):
    health.draining.set()

    assert client.get("/readyz").content == b"draining\n"
    assert client.get("/healthz").status_code == 200


@pytest.mark.django_db
def test_without_redis_it_serves_and_says_what_is_missing(client):
    class Lost:
        is_lost = True

    link = Lost()
    redis_health.watch(link)

    response = client.get("/readyz")

    assert (response.status_code, response.content) == (200, b"ok without redis\n")
