"""Asks for published holes in the packages that this project pins: PyPI's and OSV's advisories for Python, npm's for
the front end. Installs nothing that the chat uses, and needs the network.

    python3 deploy/audit.py

Ends with 1 where a package has a known hole. Where nobody can be asked, it says why and ends with 0: what was not
looked at is never told as sound. Like `install.py`, it runs on the system's Python.
"""

import json
import os
import subprocess
import sys

import install

AUDIT_VENV = os.path.join(install.ROOT, "var", "audit-venv")
AUDIT_PYTHON = os.path.join(AUDIT_VENV, "bin", "python")
REQUIREMENTS = os.path.join("deploy", "requirements-audit.txt")
PINNED = ("requirements.txt", install.TRACES, "requirements-dev.txt")
SERVICES = ("pypi", "osv")
SECONDS = 600


class Report:
    """What was learned of one list of packages: how many were looked at, holes by package, and why others were not."""

    def __init__(self, looked_at=0, holes=(), skipped=0, reason=""):
        self.looked_at = looked_at
        self.holes = list(holes)
        self.skipped = skipped
        self.reason = reason

    def lines(self, name):
        yield from (f"{name}: {package} has {hole}" for package, hole in self.holes)
        if self.looked_at:
            yield f"{name}: {self.looked_at} packages looked at, {len(self.holes)} known holes"
        if self.skipped or not self.looked_at:
            yield f"{name}: SKIPPED {self.skipped or 'all'}: {self.reason or 'no answer'}"


def of_pip_audit(text):
    """The report of `pip-audit --format json`."""
    try:
        packages = json.loads(text)["dependencies"]
    except (ValueError, KeyError, TypeError):
        return Report(reason=last_line(text))
    skipped = [each for each in packages if "skip_reason" in each]
    seen = [each for each in packages if "skip_reason" not in each]
    holes = [(f"{each['name']} {each['version']}", hole["id"]) for each in seen for hole in each["vulns"]]
    reason = skipped[0]["skip_reason"] if skipped else ""
    return Report(looked_at=len(seen), holes=holes, skipped=len(skipped), reason=reason)


def of_npm_audit(text):
    """The report of `npm audit --json`."""
    try:
        told = json.loads(text)
        if "error" in told or "vulnerabilities" not in told:
            error = told.get("error") or {}
            return Report(reason=told.get("message") or error.get("summary") or "npm gave no report")
        holes = [(name, each["severity"]) for name, each in sorted(told["vulnerabilities"].items())]
        return Report(looked_at=told["metadata"]["dependencies"]["total"], holes=holes)
    except (ValueError, KeyError, TypeError, AttributeError):
        return Report(reason=last_line(text))


def last_line(text):
    return (text.strip().splitlines() or ["no answer"])[-1][:200]


def output_of(command, **options):
    """Its standard output, or what it complains of if there is none."""
    try:
        done = subprocess.run(command, cwd=install.ROOT, capture_output=True, text=True, timeout=SECONDS, **options)
    except (OSError, subprocess.SubprocessError) as error:
        return str(error)
    return done.stdout if done.stdout.strip() else done.stderr


def of_python():
    """The first service that knows the packages tells; if none does, why."""
    if not os.path.exists(AUDIT_PYTHON):
        output_of([sys.executable, "-m", "venv", AUDIT_VENV])
    complaint = output_of([AUDIT_PYTHON, "-m", "pip", "install", "--quiet", "--no-input", "-r", REQUIREMENTS])
    report = Report(reason=last_line(complaint))
    lists = [part for name in PINNED for part in ("--requirement", name)]
    for service in SERVICES:
        options = ["--no-deps", "--disable-pip", "--format", "json", "--vulnerability-service", service]
        found = of_pip_audit(output_of([AUDIT_PYTHON, "-m", "pip_audit", *options, *lists]))
        if found.looked_at:
            return found
        report = found
    return report


def of_front_end():
    tools = install.usable_node()
    if tools is None:
        return Report(reason="no npm on PATH")
    command = [*tools[1], "audit", "--package-lock-only", "--json"]
    return of_npm_audit(output_of(command, env=install.npm_environment()))


def main():
    os.makedirs(os.path.dirname(AUDIT_VENV), exist_ok=True)
    reports = {"Python": of_python(), "npm": of_front_end()}
    for name, report in reports.items():
        for line in report.lines(name):
            print(line)
    sys.exit(1 if any(report.holes for report in reports.values()) else 0)


if __name__ == "__main__":
    main()
