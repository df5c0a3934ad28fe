"""What `make audit` makes of what others answer: a hole fails it, and what nobody looked at is not told as sound."""

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
UNKNOWN = {"name": "b", "skip_reason": "not found on PyPI"}


@pytest.fixture(scope="module")
def audit() -> ModuleType:
    for name in ("install", "audit"):
        spec = importlib.util.spec_from_file_location(name, DEPLOY / f"{name}.py")
        assert spec is not None and spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    sys.modules.pop("install")
    return sys.modules.pop("audit")


def told(report: object) -> list[str]:
    return list(report.lines("Python"))  # type: ignore[attr-defined]


def test_a_hole_is_named_with_its_package(audit):
    hole = {"name": "a", "version": "1.0", "vulns": [{"id": "PYSEC-2026-1", "fix_versions": ["1.1"]}]}

    report = audit.of_pip_audit(json.dumps({"dependencies": [hole], "fixes": []}))

    assert told(report) == ["Python: a 1.0 has PYSEC-2026-1", "Python: 1 packages looked at, 1 known holes"]


def test_what_was_not_looked_at_is_told_with_its_reason(audit):
    sound = {"name": "a", "version": "1.0", "vulns": []}

    some = audit.of_pip_audit(json.dumps({"dependencies": [sound, UNKNOWN]}))
    none = audit.of_pip_audit(json.dumps({"dependencies": [UNKNOWN]}))

    assert told(some) == ["Python: 1 packages looked at, 0 known holes", "Python: SKIPPED 1: not found on PyPI"]
    assert told(none) == ["Python: SKIPPED 1: not found on PyPI"]


@pytest.mark.parametrize("answer", ["", "[]", "{}", "Traceback ...\nConnectionError: no route"])
def test_an_answer_that_is_none_is_a_reason(audit, answer):
    for report in (audit.of_pip_audit(answer), audit.of_npm_audit(answer)):
        assert (report.looked_at, report.holes) == (0, [])
        assert "SKIPPED all: " in told(report)[0]


def test_npm_s_report_is_read_and_its_refusal_is_a_reason(audit):
    found = {"vulnerabilities": {"katex": {"severity": "high"}}, "metadata": {"dependencies": {"total": 6}}}

    report = audit.of_npm_audit(json.dumps(found))
    refused = audit.of_npm_audit(json.dumps({"message": "405 Method Not Allowed", "error": {"summary": ""}}))

    assert (report.looked_at, report.holes) == (6, [("katex", "high")])
    assert told(refused) == ["Python: SKIPPED all: 405 Method Not Allowed"]
