"""Imports the public names where no framework is installed. Prints what `import warmcache` has loaded of itself, and
the names that can be had."""

import sys

from tests.host.blocking import block

block("django", "channels", "asgiref", "anthropic", "redis", "aiohttp", "httpx2", "genai_prices", "msgspec")

before = set(sys.modules)
import warmcache  # noqa: E402 - only now, behind the block

print(*sorted(name for name in set(sys.modules) - before if name.split(".")[0] not in sys.stdlib_module_names))  # noqa: T201
found = []
for name in warmcache.__all__:
    try:
        getattr(warmcache, name)
    except ModuleNotFoundError:
        continue
    found.append(name)
print(*found)  # noqa: T201 - the test reads both lines
