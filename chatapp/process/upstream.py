"""Chooses the upstream: the real API, the simulator, or a local model. Decided once, when a server starts."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from email.message import Message
from ipaddress import ip_address
from typing import Self
from urllib.parse import urlsplit

from django.conf import settings
from django.core.signals import setting_changed

from chatapp.process.health import health
from warmcache import Upstream as Kind
from warmcache.conf import get_config
from warmcache.upstream.child_server import ChildServerError
from warmcache.upstream.simulator_process import SimulatorProcess

ANTHROPIC_URL = "https://api.anthropic.com"
ANTHROPIC_VERSION = "2023-06-01"
SIMULATOR_HEADER = "x-simulator"
REAL_KEY = "sk-ant-"
CLAUDE = "claude-"
# A local endpoint answers at once or is not running; the start must not wait for it.
LOCAL_PROBE_SECONDS = 0.7
# An endpoint that starts together with us may need this long until it listens.
LOCAL_START_SECONDS = 3.0
LOCAL_POLL_SECONDS = 0.1
KEY_PROBE_SECONDS = 15.0
MAX_LISTING_BYTES = 1024 * 1024


class UpstreamError(Exception):
    """The upstream cannot be used as configured, in one sentence."""


def is_loopback(host: str) -> bool:
    """Whether a host name or address means this machine only."""
    try:
        return host == "localhost" or ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def name() -> Kind:
    """The name of the upstream, as in pages and in the `ready` frame."""
    return Kind(str(settings.WARMCACHE["UPSTREAM"]))


class Upstream:
    """The upstream of one server, as a context manager: without a key, a simulator runs while the context is open.

    Entering only starts the child process, so that it starts while the caller checks the database; `settle` waits
    for it and configures warmcache, before any part of warmcache is built.
    """

    def __init__(self) -> None:
        self._key = settings.ANTHROPIC_API_KEY
        self._base_url = settings.ANTHROPIC_BASE_URL
        self._simulator: SimulatorProcess | None = None

    def __enter__(self) -> Self:
        if self._base_url and not self._key:
            raise UpstreamError(
                "ANTHROPIC_BASE_URL is set but ANTHROPIC_API_KEY is not: set both, or neither to use the simulator."
            )
        if not self._key:
            self._simulator = SimulatorProcess(**settings.SIMULATOR)
            health.simulator = self._simulator
        return self

    def __exit__(self, *exc: object) -> None:
        if self._simulator is not None:
            health.simulator = None
            self._simulator.stop()

    def settle(self) -> Kind:
        """Decides which upstream answers from now on.

        Raises `UpstreamError` if the simulator does not start, `ConfigurationError` if WARMCACHE is invalid.
        """
        if self._simulator is None:
            _tell_warmcache(self._key, self._base_url, _kind_of(self._base_url, self._key))
            return name()
        try:
            _tell_warmcache(self._simulator.api_key, self._simulator.wait_ready(), Kind.SIMULATOR)
        except ChildServerError as error:
            raise UpstreamError(str(error)) from None
        return name()


def _tell_warmcache(key: str, base_url: str, kind: Kind) -> None:
    settings.WARMCACHE = {
        **settings.WARMCACHE,
        "API_KEY": key,
        "BASE_URL": base_url or None,
        "UPSTREAM": kind,
    }
    # System checks may already have read the old values.
    setting_changed.send(sender=Upstream, setting="WARMCACHE", value=settings.WARMCACHE, enter=True)
    get_config()  # raises now rather than in the first request


def _kind_of(base_url: str, key: str) -> Kind:
    """At a loopback address there is a simulator if it identifies itself as one, a gateway to the API if it offers
    Claude, else a local model."""
    if not base_url or not is_loopback(urlsplit(base_url).hostname or ""):
        return Kind.ANTHROPIC
    give_up_at = time.monotonic() + LOCAL_START_SECONDS
    while True:
        try:
            headers, models = _list_models(base_url, key, LOCAL_PROBE_SECONDS)
        except urllib.error.HTTPError as error:
            headers, models = error.headers, ()
        except (OSError, ValueError) as error:
            is_starting = "refused" in str(error) and time.monotonic() < give_up_at
            if not is_starting:
                return Kind.LOCAL
            time.sleep(LOCAL_POLL_SECONDS)
            continue
        if headers.get(SIMULATOR_HEADER):
            return Kind.SIMULATOR
        is_gateway = key.startswith(REAL_KEY) or any(model.startswith(CLAUDE) for model in models)
        return Kind.ANTHROPIC if is_gateway else Kind.LOCAL


def refusal_of_key() -> str | None:
    """One sentence if the API refuses the key, asked by a call that costs nothing; None otherwise.

    A network failure is not a refusal: the chat reports it when a reply fails. Blocks up to 15 s.
    """
    base_url = settings.ANTHROPIC_BASE_URL or ANTHROPIC_URL
    try:
        _list_models(base_url, settings.ANTHROPIC_API_KEY, KEY_PROBE_SECONDS)
    except urllib.error.HTTPError as error:
        if error.code in (401, 403):
            return f"ANTHROPIC_API_KEY is refused by {base_url} ({_reason(error)}): replies will fail. Check the key."
    except (OSError, ValueError):
        pass
    return None


def _list_models(base_url: str, key: str, timeout_seconds: float) -> tuple[Message, Sequence[str]]:
    """The answer's headers and the ids that it lists; raises `HTTPError` on a refusal, `OSError` without an answer."""
    request = urllib.request.Request(  # noqa: S310  settings take http and https only
        f"{base_url.rstrip('/')}/v1/models?limit=20",
        headers={"x-api-key": key, "anthropic-version": ANTHROPIC_VERSION},
    )
    with urllib.request.urlopen(request, timeout=timeout_seconds) as answer:  # noqa: S310
        headers: Message = answer.headers
        return headers, _ids_in(answer.read(MAX_LISTING_BYTES))


def _ids_in(listing: bytes) -> Sequence[str]:
    try:
        return [str(model["id"]) for model in json.loads(listing)["data"]]
    except (ValueError, KeyError, TypeError):
        return ()


def _reason(error: urllib.error.HTTPError) -> str:
    try:
        return f"{error.code}: {json.load(error)['error']['message']}"
    except (ValueError, KeyError, TypeError, OSError):
        return str(error.code)
