"""The two TTLs that the provider offers, and their names. `core/lifetimes.py` chooses between them."""

from typing import Literal

Ttl = Literal["5m", "1h"]
TtlChoice = Literal["auto", "5m", "1h"]
"""`auto`: chosen from what was learned (`core/lifetimes.py`), five minutes until then. Hashes do not depend on it."""

SHORT_TTL_SECONDS = 300
LONG_TTL_SECONDS = 3600
TTL_SECONDS: dict[Ttl, int] = {"5m": SHORT_TTL_SECONDS, "1h": LONG_TTL_SECONDS}

REFRESH_AT_FRACTION = 0.9
"""An entry that is to be kept is read again at this share of its TTL."""
