"""The access log: the route, the person's id and the answer, and nothing that somebody wrote."""

import logging

import pytest

CANARY = "yellow-canary-7431"

pytestmark = pytest.mark.django_db


@pytest.fixture
def lines(settings):
    """What the access log is told, as fields."""
    settings.ACCESS_LOG = True
    told: list[dict] = []

    class Collects(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            assert CANARY not in record.getMessage()
            told.append(record.fields)

    logger, handler = logging.getLogger("chatapp.access"), Collects()
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield told
    logger.removeHandler(handler)
    logger.setLevel(level)


def test_a_request_is_told_by_its_route_and_its_person(client, ann, assistant, lines):
    client.force_login(ann)

    answer = client.get(f"/?q={CANARY}")

    assert len(answer.headers["X-Request-Id"]) == 16
    assert [(line["method"], line["route"], line["status"], line["person"]) for line in lines] == [
        ("GET", "/", 200, str(ann.pk))
    ]


def test_a_path_that_somebody_made_up_is_not_told(client, lines):
    client.get(f"/{CANARY}/")
    client.generic(CANARY, "/accounts/login/")

    assert [(line["method"], line["route"], line["status"]) for line in lines] == [
        ("GET", "(none)", 404),
        ("other", "/accounts/login/", 405),
    ]


def test_a_probe_is_told_only_if_it_fails(client, lines, monkeypatch):
    client.get("/healthz")
    client.get("/readyz")
    monkeypatch.setattr("chatapp.process.health.Health.trouble", lambda self: "database")
    client.get("/readyz")

    assert [(line["route"], line["status"]) for line in lines] == [("/readyz", 503)]


def test_nothing_is_told_unless_it_is_asked_for(client, lines, settings):
    settings.ACCESS_LOG = False

    client.get("/accounts/login/")

    assert lines == []
