"""Which pages may open a socket. Refusal comes before accept, so that a browser learns nothing."""

import pytest

from chatapp.socket.origin import is_allowed_origin
from tests.chatapp.sockets import HOST, ORIGIN, SocketClosedError, Tab

FOREIGN_ORIGINS = {
    "missing": None,
    "empty": "",
    "null": "null",
    "another port": "http://localhost:8001",
    "no port": "http://localhost",
    "another scheme": f"https://{HOST}",
    "another name of this machine": "http://127.0.0.1:8000",
    "a name that ends the same": f"http://evil-{HOST}",
    "our name as a prefix": f"http://{HOST}.evil.example",
    "our name as the user": f"http://{HOST}@evil.example",
    "a user in front of our name": f"http://evil@{HOST}",
    "a path behind our name": f"{ORIGIN}/",
    "an extension": "chrome-extension://abcdef",
    "nonsense": "http://[",
}


@pytest.mark.parametrize("origin", FOREIGN_ORIGINS.values(), ids=FOREIGN_ORIGINS.keys())
async def test_a_foreign_origin_is_refused_before_the_socket_is_accepted(origin):
    with pytest.raises(SocketClosedError) as refused:
        await Tab("", origin=origin).connect()

    assert refused.value.code == 1000


@pytest.mark.parametrize(
    ("origin", "host"),
    [("http://evil.example", "evil.example"), ("http://", ""), ("http://a b", "a b"), ("None://x", "x")],
)
def test_an_origin_that_equals_a_host_which_is_not_ours_is_refused(origin, host):
    assert not is_allowed_origin(origin, host=host, scheme="ws")


def test_the_site_s_own_origin_is_taken_with_the_scheme_it_is_served_by():
    assert is_allowed_origin(ORIGIN, host=HOST, scheme="ws")
    assert is_allowed_origin(f"https://{HOST}", host=HOST, scheme="wss")
    assert is_allowed_origin(ORIGIN, host=HOST.upper(), scheme="ws")
    assert not is_allowed_origin(ORIGIN, host=HOST, scheme="wss")
    assert not is_allowed_origin(f"gopher://{HOST}", host=HOST, scheme="gopher")
    assert not is_allowed_origin(f"None://{HOST}", host=HOST, scheme="gopher")


def test_trusted_origins_are_taken_whatever_the_host_says(settings):
    settings.CSRF_TRUSTED_ORIGINS = ["https://chat.example", "https://*.inner.example"]

    assert is_allowed_origin("https://chat.example", host="backend:8000", scheme="ws")
    assert is_allowed_origin("https://a.inner.example", host="backend:8000", scheme="ws")
    assert not is_allowed_origin("http://chat.example", host="backend:8000", scheme="ws")
    assert not is_allowed_origin("http://a.inner.example", host="backend:8000", scheme="ws")
    assert not is_allowed_origin("https://a.inner.example.evil.example", host="backend:8000", scheme="ws")
    assert not is_allowed_origin("https://evilinner.example", host="backend:8000", scheme="ws")
    assert not is_allowed_origin("*.inner.example", host="backend:8000", scheme="ws")


def test_a_site_with_an_https_origin_takes_none_with_http_whatever_the_proxy_s_connection_says(settings):
    settings.HTTPS, settings.ALLOWED_HOSTS = True, ["chat.example"]

    assert is_allowed_origin("https://chat.example", host="chat.example", scheme="ws")
    assert is_allowed_origin("https://chat.example", host="chat.example", scheme="wss")
    assert not is_allowed_origin("http://chat.example", host="chat.example", scheme="ws")
    assert not is_allowed_origin("https://chat.example", host="evil.example", scheme="ws")
