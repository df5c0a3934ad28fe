"""Both at once."""

from tests.host.two_databases import *  # noqa: F403

USE_TZ = False
TIME_ZONE = "Europe/Berlin"
