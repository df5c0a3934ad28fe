"""The settings of a server for a browser or a crowd: however slow the machine, the server does not give up first."""

from chatapp.settings import *  # noqa: F403
from chatapp.settings import WARMCACHE as USUAL

WARMCACHE = {
    **USUAL,
    "CONNECT_TIMEOUT_SECONDS": 120.0,
    "FIRST_EVENT_TIMEOUT_SECONDS": 600.0,
    "IDLE_TIMEOUT_SECONDS": 600.0,
    "WARM_UP_TIMEOUT_SECONDS": 600.0,
    "WARM_UP_PATIENCE_SECONDS": 600.0,
    # What one test's refusals teach must not keep the next test's prompt cold.
    "PAUSE_AFTER_LIMIT_SECONDS": 0.0,
}
