"""Makes imports fail as if a package were not installed. Runs in a process of its own."""

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType


class Blocker(MetaPathFinder):
    """Refuses the packages named."""

    def __init__(self, *packages: str) -> None:
        self._packages = packages

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name.split(".")[0] in self._packages:
            raise ModuleNotFoundError(f"{name} is not installed here", name=name)
        return None


def block(*packages: str) -> None:
    """From here on these packages cannot be imported."""
    already = sorted({name.split(".")[0] for name in sys.modules} & set(packages))
    if already:
        raise AssertionError(f"{already} are imported already: nothing would be proved")
    sys.meta_path.insert(0, Blocker(*packages))
