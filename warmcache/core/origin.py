"""Whose call to the provider it is, in the host's own words."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """For whom and where a request was made. `label`, `subject` and `place` are the host's own words."""

    label: str
    subject: str
    upstream: str
    place: str = ""
    """Which conversation. A request tells what was warmed in its own under other bytes; empty tells nothing."""
