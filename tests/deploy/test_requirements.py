"""The lists of packages: exact, whole, and told apart."""

import re
from importlib.metadata import distributions, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
TRACES = "deploy/requirements-traces.txt"


def requirements(name: str) -> list[Requirement]:
    lines = [line.partition("  #")[0].partition(" #")[0].strip() for line in (ROOT / name).read_text().splitlines()]
    return [Requirement(line) for line in lines if line and not line.startswith(("#", "-r"))]


@pytest.mark.parametrize(
    "name",
    [
        "requirements.txt",
        "requirements-dev.txt",
        TRACES,
        "deploy/requirements-node.txt",
        "deploy/requirements-audit.txt",
    ],
)
def test_every_version_is_exact(name):
    assert [str(each) for each in requirements(name) if not re.fullmatch(r"==[\w.]+", str(each.specifier))] == []


def test_what_is_pinned_is_what_is_installed():
    installed = {canonicalize_name(each.metadata["Name"]): each.version for each in distributions()}
    wanted = [*requirements("requirements.txt"), *requirements("requirements-dev.txt"), *requirements(TRACES)]

    differing = {
        each.name: installed.get(canonicalize_name(each.name))
        for each in wanted
        if (each.marker is None or each.marker.evaluate())
        and not each.specifier.contains(installed.get(canonicalize_name(each.name), "0"))
    }

    assert differing == {}


@pytest.mark.parametrize("names", [["requirements.txt"], ["requirements.txt", TRACES]])
def test_the_list_is_whole(names):
    """Whatever a listed package needs is listed too, so that nothing floats."""
    listed = {canonicalize_name(each.name) for name in names for each in requirements(name)}
    extras = {
        "anthropic": {"aiohttp"},
        "psycopg": {"binary", "pool"},
        "opentelemetry-exporter-http-transport": {"requests"},
    }

    needed = {
        canonicalize_name(need.name)
        for name in listed - {"async-timeout"}
        for need in map(Requirement, requires(name) or [])
        if need.marker is None
        or any(need.marker.evaluate({"extra": extra}) for extra in {"", *extras.get(name, set())})
    }

    assert needed - listed == set()
