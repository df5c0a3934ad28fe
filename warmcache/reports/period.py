"""How far back a report goes, as people write it."""

import re

SECONDS = {"m": 60, "h": 3600, "d": 86_400, "w": 604_800}
DEFAULT_PERIOD = "7d"


def seconds_of(text: str) -> int:
    """Seconds of `7d`, `24h`, `30m` or `2w`; raises `ValueError` with a sentence for anything else."""
    found = re.fullmatch(r"([1-9]\d{0,3})([mhdw])", text)
    if found is None:
        raise ValueError(f"A period looks like 7d, 24h, 30m or 2w, not {text!r}.")
    return int(found[1]) * SECONDS[found[2]]
