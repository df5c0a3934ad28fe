"""A project of before `USE_TZ`, in a place where the clocks are put back each autumn."""

from tests.host.settings import *  # noqa: F403 - the same project otherwise

USE_TZ = False
TIME_ZONE = "Europe/Berlin"
