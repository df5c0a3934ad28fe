"""Imports all of warmcache.core, and the simulator's engine, where no framework is installed."""

import importlib
import pkgutil

from tests.host.blocking import block

block("django", "channels", "asgiref", "anthropic", "redis", "aiohttp", "httpx2", "genai_prices", "msgspec")

from warmcache import core  # noqa: E402 - only now, behind the block

modules = [found.name for found in pkgutil.walk_packages(core.__path__, "warmcache.core.")]
for module in [*modules, "warmcache.simulator.engine"]:
    importlib.import_module(module)
print(f"imported {len(modules)}")  # noqa: T201 - the test reads it
