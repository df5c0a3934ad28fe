"""The product's settings, with leases short enough that a test can wait until they expire."""

from chatapp.settings import *  # noqa: F403
from chatapp.settings import WARMCACHE as PRODUCT

LEASE_SECONDS = 8.0
WARMCACHE = {**PRODUCT, "LEASE_SECONDS": LEASE_SECONDS}
