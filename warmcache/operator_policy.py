"""The operator's settings in force: the admin's row on top of the Django settings, read again each second."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import TypeVar

from warmcache.background.database import in_database_thread
from warmcache.conf import Config
from warmcache.core.decide import Limits
from warmcache.core.intents import Intent
from warmcache.models import WarmPolicy

logger = logging.getLogger(__name__)
T = TypeVar("T")

REFRESH_SECONDS = 1.0
FIRST_READ_PATIENCE_SECONDS = 2.0
"""How long the first decision of a process waits for the row. After that only the Django settings apply."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorPolicy:
    """Every setting with its value in force. Money in US dollars; a day is a UTC day."""

    is_enabled: bool
    """False if it is off in the settings or in the admin."""
    value_of_second_usd: Decimal
    max_cost_per_warm_up_usd: Decimal
    holdout_share: float
    intents: frozenset[Intent]
    user_daily_usd: Decimal
    user_daily_warm_ups: int
    daily_usd: Decimal
    daily_warm_ups: int
    keeps_shared_layers: bool
    keep_days: int
    """0: rows are kept for ever."""

    @property
    def limits(self) -> Limits:
        return Limits(
            is_enabled=self.is_enabled,
            max_cost_usd=self.max_cost_per_warm_up_usd,
            value_of_second_usd=self.value_of_second_usd,
            intents=self.intents,
        )


def read_row() -> WarmPolicy | None:
    """The one row, or None if the operator uses only the Django settings. Synchronous."""
    return WarmPolicy.objects.order_by("pk").first()


def policy_in_force(config: Config, row: WarmPolicy | None = None) -> OperatorPolicy:
    """The fields of `row` that are not empty, and the settings for the others."""
    row = row or WarmPolicy()
    return OperatorPolicy(
        is_enabled=config.enabled and row.is_enabled,
        value_of_second_usd=_first(row.value_of_second_usd, config.value_of_second_usd),
        max_cost_per_warm_up_usd=_first(row.max_cost_per_warm_up_usd, config.max_cost_per_warm_up_usd),
        holdout_share=min(1.0, max(0.0, _first(row.holdout_share, config.holdout_share))),
        intents=frozenset(Intent) & frozenset(_first(row.intents, config.intents)),
        user_daily_usd=_first(row.user_daily_usd, config.user_daily_usd),
        user_daily_warm_ups=_first(row.user_daily_warm_ups, config.user_daily_warm_ups),
        daily_usd=_first(row.daily_usd, config.daily_usd),
        daily_warm_ups=_first(row.daily_warm_ups, config.daily_warm_ups),
        keeps_shared_layers=config.keeps_shared_layers or row.keeps_shared_layers,
        keep_days=_first(row.keep_days, config.keep_days),
    )


def _first(chosen: T | None, fallback: T) -> T:
    return fallback if chosen is None else chosen


class PolicyWatch:
    """The policy in force in this process. `current` costs nothing; a task of the runtime reads the row each second."""

    def __init__(self, config: Config, *, read: Callable[[], WarmPolicy | None] = read_row) -> None:
        self.current = policy_in_force(config)
        self._config = config
        self._read = read
        self._has_tried = asyncio.Event()
        self._is_failing = False

    async def known(self) -> OperatorPolicy:
        """`current`, after the first attempt to read the row: a starting process must not miss the kill switch."""
        if not self._has_tried.is_set():
            try:
                async with asyncio.timeout(FIRST_READ_PATIENCE_SECONDS):
                    await self._has_tried.wait()
            except TimeoutError:
                self._has_tried.set()
                logger.error("The database does not tell the warm policy; the settings are in force")
        return self.current

    async def refresh(self) -> None:
        """Reads the row now. If the database fails, the policy stays as it was; this is logged once."""
        try:
            self.current = policy_in_force(self._config, await in_database_thread(self._read))
        except Exception as error:
            if not self._is_failing:
                logger.warning("The warm policy cannot be read; it stays as it was: %s", error)
            self._is_failing = True
        else:
            self._is_failing = False
        self._has_tried.set()

    async def watch_forever(self) -> None:
        """Runs as a task of the runtime until it is cancelled."""
        while True:
            await self.refresh()
            await asyncio.sleep(REFRESH_SECONDS)
