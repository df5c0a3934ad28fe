"""Who answers, as it is settled at the start."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from chatapp.process import upstream
from chatapp.process.health import health
from warmcache.conf import get_config

Serve = Callable[..., str]


@pytest.fixture
def endpoint() -> Iterator[Serve]:
    """Starts an endpoint that answers every request alike, and gives its address."""
    with ExitStack() as stack:

        def serve(status: int = 200, body: object = None, **headers: str) -> str:
            class Handler(BaseHTTPRequestHandler):
                def do_GET(self) -> None:
                    server.seen.append((self.path, self.headers["x-api-key"]))
                    self.send_response(status)
                    for name, value in headers.items():
                        self.send_header(name.replace("_", "-"), value)
                    self.end_headers()
                    self.wfile.write(json.dumps(body).encode())

                def log_message(self, *args: object) -> None: ...

            server = stack.enter_context(ThreadingHTTPServer(("127.0.0.1", 0), Handler))
            server.seen = serve.seen
            Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
            stack.callback(server.shutdown)
            return f"http://127.0.0.1:{server.server_port}"

        serve.seen = []
        yield serve


@pytest.fixture(autouse=True)
def _warmcache_as_it_was(settings):
    """Changing it through the fixture restores it, and tells warmcache, at the end."""
    settings.WARMCACHE = dict(settings.WARMCACHE)


def test_without_a_key_a_simulator_runs_as_long_as_the_server(settings):
    settings.SIMULATOR = {"profile": "instant", "seed": 1, "noise": 0.0}

    with upstream.Upstream() as chosen:
        assert chosen.settle() == "simulator"
        child = health.simulator
        config = get_config()
        assert child.is_alive()
        assert config.base_url == child.base_url
        assert config.api_key == child.api_key

    assert upstream.name() == "simulator"
    assert not child.is_alive()
    assert health.simulator is None


def test_with_a_key_the_real_api_answers(settings):
    settings.ANTHROPIC_API_KEY = "sk-test"

    with upstream.Upstream() as chosen:
        kind = chosen.settle()

    assert kind == "anthropic"
    assert get_config().base_url == "https://api.anthropic.com"
    assert get_config().api_key == "sk-test"


def test_an_address_without_a_key_is_refused(settings):
    settings.ANTHROPIC_BASE_URL = "http://127.0.0.1:9"

    with pytest.raises(upstream.UpstreamError, match="ANTHROPIC_API_KEY is not"):
        upstream.Upstream().__enter__()


@pytest.mark.parametrize(("headers", "kind"), [({"x_simulator": "warmcache"}, "simulator"), ({}, "local")])
@pytest.mark.parametrize("status", [200, 404])
def test_an_address_on_this_machine_tells_what_it_is(settings, endpoint, headers, status, kind):
    settings.ANTHROPIC_API_KEY = "sk-test"
    settings.ANTHROPIC_BASE_URL = endpoint(status, {"data": []}, **headers)

    with upstream.Upstream() as chosen:
        assert chosen.settle() == kind

    assert endpoint.seen == [("/v1/models?limit=20", "sk-test")]


@pytest.mark.parametrize(
    ("key", "models"), [("sk-ant-api03-x", []), ("gateway", [{"id": "gpt-9"}, {"id": "claude-sonnet-5-5"}])]
)
def test_a_gateway_on_this_machine_is_the_real_api(settings, endpoint, key, models):
    settings.ANTHROPIC_API_KEY = key
    settings.ANTHROPIC_BASE_URL = endpoint(200, {"data": models})

    with upstream.Upstream() as chosen:
        assert chosen.settle() == "anthropic"


def test_an_address_on_this_machine_where_nobody_listens_counts_as_a_local_model(settings, monkeypatch):
    monkeypatch.setattr(upstream, "LOCAL_START_SECONDS", 0.2)
    settings.ANTHROPIC_API_KEY = "sk-test"
    settings.ANTHROPIC_BASE_URL = "http://127.0.0.1:9"

    with upstream.Upstream() as chosen:
        assert chosen.settle() == "local"


def test_an_address_elsewhere_is_not_probed(settings, monkeypatch):
    settings.ANTHROPIC_API_KEY = "sk-test"
    settings.ANTHROPIC_BASE_URL = "https://gateway.example"
    monkeypatch.setattr(upstream, "_list_models", lambda *args: pytest.fail("asked"))

    with upstream.Upstream() as chosen:
        assert chosen.settle() == "anthropic"


def test_a_refused_key_is_told_in_the_provider_s_words(settings, endpoint):
    settings.ANTHROPIC_API_KEY = "sk-wrong"
    settings.ANTHROPIC_BASE_URL = endpoint(401, {"error": {"message": "invalid x-api-key"}})

    sentence = upstream.refusal_of_key()

    assert "401: invalid x-api-key" in sentence
    assert "sk-wrong" not in sentence


@pytest.mark.parametrize("status", [200, 500, 529])
def test_any_other_answer_is_no_refusal(settings, endpoint, status):
    settings.ANTHROPIC_API_KEY = "sk-test"
    settings.ANTHROPIC_BASE_URL = endpoint(status, "not JSON of ours")

    assert upstream.refusal_of_key() is None


def test_a_network_that_is_down_is_no_refusal(settings):
    settings.ANTHROPIC_API_KEY = "sk-test"
    settings.ANTHROPIC_BASE_URL = "http://127.0.0.1:9"

    assert upstream.refusal_of_key() is None


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.9.9.9", "::1", "[::1]"])
def test_addresses_of_this_machine(host):
    assert upstream.is_loopback(host)


@pytest.mark.parametrize("host", ["", "0.0.0.0", "::", "example.com", "localhost.example.com", "192.168.0.1"])  # noqa: S104
def test_addresses_of_others(host):
    assert not upstream.is_loopback(host)
