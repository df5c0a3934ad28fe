"""The limits in force in this process: the admin's rows on top of the settings, read again each second."""

import asyncio
import logging
import threading
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields
from decimal import Decimal
from typing import Any

from django.conf import settings

from chatapp.models import UsageLimit
from chatapp.quotas import accounts, refusals
from chatapp.quotas.measures import Allowance
from warmcache.background.database import in_database_thread

logger = logging.getLogger(__name__)

REFRESH_SECONDS = 1.0
STALE_AFTER = 2
"""After so many rounds without a reading, whoever asks reads by itself: on a server that runs no watch."""

LONGEST_REPLY_SECONDS = 3600.0
"""Longer than the provider's longest stream, with its retries."""

NAMES = tuple(each.name for each in fields(Allowance))


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """All limits that are set. Groups and persons by their ids."""

    each_person: Allowance = field(default_factory=Allowance)
    all_together: Allowance = field(default_factory=Allowance)
    each_member: Mapping[int, Allowance] = field(default_factory=dict)
    one_person: Mapping[int, Allowance] = field(default_factory=dict)
    groups: Mapping[int, Allowance] = field(default_factory=dict)

    @property
    def limited_groups(self) -> Collection[int]:
        """Whose members have to be known."""
        return sorted({*self.each_member, *self.groups})

    def for_person(self, user_id: int, group_ids: Collection[int]) -> Allowance:
        """The person's own limits: the most special that is set wins."""
        of_groups = Allowance()
        for group_id in group_ids:
            of_groups = of_groups.most_generous(self.each_member.get(group_id, Allowance()))
        own = self.one_person.get(user_id, Allowance())
        return own.or_else(of_groups).or_else(self.each_person)


def policy_of(rows: Collection[UsageLimit]) -> Policy:
    """The rows, and the settings where they are empty."""
    each, together = _of_settings("each_person"), _of_settings("all_together")
    by_kind: dict[str, dict[int, Allowance]] = {kind: {} for kind in UsageLimit.AppliesTo.values}
    for row in rows:
        allowance = Allowance(**{name: getattr(row, name) for name in NAMES})
        by_kind[row.applies_to][row.user_id or row.group_id or 0] = allowance
    kinds = UsageLimit.AppliesTo
    return Policy(
        each_person=by_kind[kinds.EACH_PERSON].get(0, Allowance()).or_else(each),
        all_together=by_kind[kinds.ALL_TOGETHER].get(0, Allowance()).or_else(together),
        each_member=by_kind[kinds.EACH_MEMBER],
        one_person=by_kind[kinds.ONE_PERSON],
        groups=by_kind[kinds.GROUP_TOGETHER],
    )


class LimitWatch:
    """One per process. `current` may be called in any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._policy: Policy | None = None
        self._read_at = 0.0
        self._is_failing = False
        self._tidied_at = 0.0

    def current(self) -> Policy:
        """The limits in force. Reads them only where no watch has done so lately; call it in a database thread."""
        with self._lock:
            policy, age = self._policy, time.monotonic() - self._read_at
        return policy if policy is not None and age <= STALE_AFTER * REFRESH_SECONDS else self.read()

    def read(self) -> Policy:
        """Reads the rows now."""
        policy = policy_of(list(UsageLimit.objects.all()))
        with self._lock:
            self._policy, self._read_at = policy, time.monotonic()
        return policy

    def forget(self) -> None:
        """The next caller reads."""
        with self._lock:
            self._policy = None

    async def watch_forever(self) -> None:
        """Runs as a task of the server until it is cancelled. If the database fails, the limits stay as they were."""
        while True:
            try:
                await in_database_thread(self._look)
                self._is_failing = False
            except Exception as error:
                if not self._is_failing:
                    logger.warning("The limits cannot be read; they stay as they were: %s", error)
                self._is_failing = True
            await asyncio.sleep(REFRESH_SECONDS)

    def _look(self) -> None:
        self.read()
        refusals.write()
        now = time.time()
        if now - self._tidied_at >= LONGEST_REPLY_SECONDS:
            self._tidied_at = now
            accounts.forget_lost_replies(before=now - LONGEST_REPLY_SECONDS)


watch = LimitWatch()


def _of_settings(whose: str) -> Allowance:
    entries: dict[str, Any] = settings.USAGE_LIMITS.get(whose, {})
    limits = {name: Decimal(value) if name.startswith("usd") else int(value) for name, value in entries.items()}
    return Allowance(**limits)  # type: ignore[arg-type]
