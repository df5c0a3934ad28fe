"""The origin of a provider call, in the host's own words."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """For whom and where a request was made. `label`, `subject` and `place` are the host's own words."""

    label: str
    subject: str
    upstream: str
    place: str = ""
    """The conversation. A request settles warm-ups of its own place that had other bytes; with an empty place, none."""
