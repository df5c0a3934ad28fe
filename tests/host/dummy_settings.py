"""A project whose tests reach no provider."""

from tests.host.settings import *  # noqa: F403

WARMCACHE = {"PROVIDER": "warmcache.testing.DummyProvider", "LEARNS": False}
