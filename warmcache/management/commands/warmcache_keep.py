"""`manage.py warmcache_keep`: holds shared layers warm, or shows what holding each of them would cost."""

import argparse
import asyncio
import signal
import time
from collections.abc import Mapping, Sequence
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from warmcache.conf import get_config
from warmcache.core.errors import StoreUnavailable
from warmcache.runtime import wiring as runtimes
from warmcache.runtime.wiring import SystemClock
from warmcache.warmups.keeper import holders
from warmcache.warmups.layer_report import lines_of, report_on
from warmcache.warmups.shared_layers import SharedLayer, registered_layers


class Command(BaseCommand):
    """Async servers take part on their own in every process; this command is for hosts without one."""

    help = "Hold shared layers warm until Ctrl-C, as far as the warm policy lets it and the forecast says that it pays."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--status", action="store_true", help="tell what is known of each layer, and end")

    def handle(self, *args: Any, **options: Any) -> None:
        layers = registered_layers()
        if not layers:
            raise CommandError("No shared layer is registered: see warmcache.services.register_shared_layers.")
        if options["status"]:
            self._tell(layers)
            return
        if not get_config().redis_url:
            raise CommandError("Without REDIS_URL no other process would hear of what is held here.")
        asyncio.run(_keep_until_told_to_end())

    def _tell(self, layers: Sequence[SharedLayer]) -> None:
        owners = asyncio.run(_holders([layer.label for layer in layers]))
        for layer in layers:
            report = report_on(layer, time.time())
            if report is None:
                continue
            self.stdout.write(self.style.MIGRATE_HEADING(layer.label))
            for heading, words in lines_of(report, owners.get(layer.label)):
                self.stdout.write(f"  {heading}: {words}")
        if not get_config().redis_url:
            self.stdout.write("Without REDIS_URL only the server itself knows what it holds.")


async def _holders(labels: Sequence[str]) -> Mapping[str, str]:
    # Not the whole runtime: its provider takes seconds to import.
    store = runtimes.build_store(get_config(), clock=SystemClock())
    try:
        return await holders(store, labels)
    except StoreUnavailable:
        return {}
    finally:
        await store.aclose()


async def _keep_until_told_to_end() -> None:
    """Starts a runtime, which includes the keeper."""
    told = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    runtimes.get_runtime()
    await told.wait()
    await runtimes.close_runtime()
