"""What is public: the names of `warmcache.__all__` and the modules that the README lists."""

import ast
import importlib
import re
import textwrap
from pathlib import Path

import pytest

import warmcache
from tests.warmcache.test_reuse import run
from warmcache import services

ROOT = Path(__file__).parents[2]
README = (ROOT / "warmcache" / "README.md").read_text()
PUBLIC = README.split("## What is public")[1].split("\n## ")[0]
LISTS = {
    kind: re.findall(r"`([\w.]+)`", names) for kind, names in re.findall(r"\*\*(\w+):\*\* (.*?)\n\n", PUBLIC, re.DOTALL)
}
MODULES = LISTS.pop("Modules")
EXAMPLES = {
    "README": "\n".join(textwrap.dedent(block) for block in re.findall(r"```python\n(.*?)```", README, re.DOTALL)),
    **{path.name: path.read_text() for path in (ROOT / "tests" / "host" / "example").rglob("*.py")},
}


def told_to_type_checkers() -> dict[str, str]:
    """The home of each name, as the package's imports for type checkers have it."""
    tree = ast.parse((ROOT / "warmcache" / "__init__.py").read_text())
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    return {
        alias.name: node.module
        for node in block.body
        if isinstance(node, ast.ImportFrom) and node.module
        for alias in node.names
    }


def imported_by(source: str) -> set[str]:
    """Dotted names of what a source takes from warmcache."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in names if name.startswith("warmcache.")}


def is_public(dotted: str) -> bool:
    is_listed = any(dotted == module or dotted.startswith(f"{module}.") for module in MODULES)
    return is_listed or dotted.removeprefix("warmcache.") in warmcache.__all__


@pytest.mark.parametrize("name", warmcache.__all__)
def test_a_public_name_is_the_object_of_its_home(name: str) -> None:
    home = importlib.import_module(told_to_type_checkers()[name])

    assert getattr(warmcache, name) is getattr(home, name)


def test_type_checkers_and_editors_know_the_public_names_and_no_others() -> None:
    assert sorted(told_to_type_checkers()) == sorted(set(warmcache.__all__))
    assert set(warmcache.__all__) <= set(dir(warmcache))


def test_all_of_the_async_services_are_public() -> None:
    assert set(services.__all__) <= set(warmcache.__all__)


def test_a_name_that_is_not_public_is_refused() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'ResponseStreams'"):
        warmcache.ResponseStreams  # type: ignore[attr-defined]  # noqa: B018
    with pytest.raises(ImportError, match="consider"):
        from warmcache import consider  # type: ignore[attr-defined]  # noqa: F401


def test_only_what_calls_or_stores_needs_a_framework() -> None:
    loaded, found = run("tests.host.import_names").splitlines()

    assert loaded == "warmcache"
    assert set(found.split()) == set(warmcache.__all__) - set(services.__all__)


def test_the_readme_lists_the_public_names() -> None:
    assert sorted(name for names in LISTS.values() for name in names) == sorted(warmcache.__all__)


@pytest.mark.parametrize("module", MODULES)
def test_the_modules_that_the_readme_lists_can_be_imported(module: str) -> None:
    importlib.import_module(module)


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_examples_import_only_what_is_public(example: str) -> None:
    assert {name for name in imported_by(EXAMPLES[example]) if not is_public(name)} == set()


INSIDE = {
    "warmcache.background.database": "one set of database threads per process: a second one doubles the connections",
    "warmcache.background.tasks": "one kind of owner for the tasks of both",
    "warmcache.background.cursors": "the same quick cursor for the statements that are no querysets",
    "warmcache.background.statements": "statements that are compiled once, for each message of both",
    "warmcache.admin": "the models' pages, to which the chat adds",
    "warmcache.addresses": "a NUL in an address is taken out on all pages of the admin",
    "warmcache.reports.conditions": "what the operators are told by mail",
    "warmcache.core.moments": "moments of the ledger, in the mails",
    "warmcache.admin.host": "where the chat says what it knows of a conversation and a message",
    "warmcache.core.catalog": "what the demo's first warm-ups cost",
    "warmcache.upstream.prices": "what the demo's first warm-ups cost",
    "warmcache.core.economics": "what a summary brings is told in the same prices",
    "warmcache.core.pictures": "about how much of a history are pictures, which no summary takes away",
    "warmcache.core.reasons": "`TO_WARM`, which the command that writes words leaves out of the table",
    "warmcache.core.ttl": "how long the longest entry lives: only then an old conversation gets its salt",
    "warmcache.core.wording": "the base of the chat's own closed sets",
    "warmcache.words": "the words of a stored reason, in the admin",
    "warmcache.ledger.erasure": "a person who is erased goes from the ledger too",
    "warmcache.reports.vital_signs": "what `/metrics` and `/readyz` tell of warming",
    "warmcache.warmups.prefix_report": "the exact prefix, in the admin of assistants",
    "warmcache.warmups.layer_report": "what holding a layer would cost, in the admin of assistants",
    "warmcache.upstream.child_server": "the simulator and the demo's local model run as children",
    "warmcache.upstream.simulator_process": "the simulator that answers where there is no key",
}
"""What the chat takes from the inside of warmcache, and why. The two live in one repository and change together; a host
of its own takes nothing that is not public."""


def test_the_chat_takes_from_the_inside_only_what_is_named_here() -> None:
    taken = {name for path in (ROOT / "chatapp").rglob("*.py") for name in imported_by(path.read_text())}
    private = {name.rpartition(".")[0] for name in taken if not is_public(name)}

    assert private == set(INSIDE)


def test_the_chat_takes_a_public_name_from_the_top_or_from_a_public_module() -> None:
    taken = {name for path in (ROOT / "chatapp").rglob("*.py") for name in imported_by(path.read_text())}
    private = {name for name in taken if not is_public(name)}

    assert {name for name in private if name.rpartition(".")[2] in warmcache.__all__} == set()
