"""The real servers that other tests build on do what those tests assume."""

import urllib.request

import psycopg
import pytest
import redis

from tests.servers import PATIENCE_SECONDS

pytestmark = pytest.mark.any_database


def status(url: str, cookie: str = "") -> int:
    request = urllib.request.Request(url, headers={"Cookie": cookie})
    with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as answer:
        return answer.status


def test_redis_goes_when_killed_and_comes_back_empty(redis_server):
    with redis.Redis.from_url(redis_server.url) as client:
        client.set("key", "value")

        redis_server.kill()
        with pytest.raises(redis.ConnectionError):
            client.get("key")
        redis_server.start()

        assert client.get("key") is None


def test_each_database_of_postgresql_is_new_and_empty(postgres_server):
    first, second = postgres_server.create_database(), postgres_server.create_database()
    with psycopg.connect(first) as connection:
        connection.execute("CREATE TABLE mine (id int)")

    with psycopg.connect(second) as connection:
        tables = connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone()

    assert first != second
    assert tables == (0,)


def test_two_servers_share_postgresql_redis_and_those_who_are_signed_in(
    start_chat_server, postgres_server, redis_server
):
    first = start_chat_server(database_url=postgres_server.create_database(), redis_url=redis_server.url)
    second = start_chat_server(beside=first, redis_url=redis_server.url)

    statuses = [
        status(f"{server.url}{path}", server.users["ann"].cookie)
        for server in (first, second)
        for path in ("/", "/readyz")
    ]

    assert statuses == [200, 200, 200, 200]
    assert first.query("SELECT username FROM chatapp_user WHERE id = ?", first.users["ann"].id) == [("ann",)]
    assert [server.stop() for server in (first, second)] == [0, 0]
    assert "Traceback" not in first.log + second.log


def test_a_killed_server_comes_back_with_its_data(start_chat_server):
    server = start_chat_server()

    server.kill()
    server.start()

    assert status(f"{server.url}/", server.users["ann"].cookie) == 200


def test_the_simulator_can_be_told_what_to_do(live_server_process):
    simulator = live_server_process.simulator

    simulator.fault(kind="overloaded")
    waiting = simulator.call("GET", "faults")
    simulator.reset()

    assert [fault["kind"] for fault in waiting["faults"]] == ["overloaded"]
    assert simulator.call("GET", "faults")["faults"] == []
    assert simulator.requests() == []
