"""The README stays true: its commands run, its settings are those of the code, its links lead somewhere."""

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.management import BaseCommand, get_commands, load_command_class

from tests.servers import PATIENCE_SECONDS
from tests.servers.chat_server import clean_environment
from tests.servers.ports import free_port

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()


def shell_commands() -> Iterator[list[str]]:
    """The commands of the `sh` blocks and the `manage.py` ones in the text, without the variables before them."""
    blocks = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    for line in [*lines, *re.findall(r"`(python manage\.py [^`]+)`", README)]:
        words = shlex.split(line)
        while words and re.match(r"[A-Z_]+=", words[0]):
            words.pop(0)
        yield words


MAKE_TARGETS = sorted({words[1] for words in shell_commands() if words[0] == "make"})
MANAGE_COMMANDS = [words[2:] for words in shell_commands() if words[:2] == ["python", "manage.py"]]


def test_the_readme_names_the_two_commands_first() -> None:
    assert [words for words in shell_commands() if words[0] == "make"][0] == ["make", "run"]
    assert "test" in MAKE_TARGETS


@pytest.mark.parametrize("target", MAKE_TARGETS)
def test_every_make_target_of_the_readme_exists(target: str) -> None:
    dry_run = subprocess.run(["make", "--dry-run", target], cwd=ROOT, capture_output=True, text=True)

    assert dry_run.returncode == 0, dry_run.stderr


@pytest.mark.parametrize("words", MANAGE_COMMANDS, ids=lambda words: words[0])
def test_every_management_command_of_the_readme_takes_the_flags_it_shows(words: list[str]) -> None:
    app = get_commands()[words[0]]
    command = app if isinstance(app, BaseCommand) else load_command_class(app, words[0])

    told = command.create_parser("manage.py", words[0]).format_help()

    assert [flag for flag in words if flag.startswith("--") and flag not in told] == []


@pytest.mark.skipif(
    not Path(sys.prefix).is_relative_to(ROOT), reason="these tests do not run from the .venv that `make run` would use"
)
def test_make_run_prints_one_line_with_a_link_and_ends_on_ctrl_c(tmp_path: Path) -> None:
    port = str(free_port())
    environment = clean_environment(PORT=port, DATABASE_URL=f"sqlite:///{tmp_path}/db.sqlite3")
    for name in ("MAKEFLAGS", "MAKELEVEL"):  # as if not started by `make test`
        environment.pop(name, None)

    demo = subprocess.Popen(
        ["make", "run"], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        assert demo.stdout is not None
        line = demo.stdout.readline()
        os.killpg(demo.pid, signal.SIGINT)
        rest, _ = demo.communicate(timeout=PATIENCE_SECONDS)
    finally:
        if demo.poll() is None:
            os.killpg(demo.pid, signal.SIGKILL)

    assert re.search(rf"http://127\.0\.0\.1:{port}/sign-in/\S+", line), line
    assert rest == ""


def test_the_settings_table_holds_every_variable_that_the_settings_read() -> None:
    told = set(re.findall(r"`([A-Z][A-Z_]{3,})`", README.split("## Configure")[1].split("## Deploy")[0]))
    source = (ROOT / "chatapp" / "settings.py").read_text()
    read = set(re.findall(r"""(?:from_env|environ\.get|env\.\w+)\(\s*"([A-Z_]+)\"""", source))

    assert read - told == set()
    assert told - set(re.findall(r"[A-Z][A-Z_]{3,}", source)) == set()


@pytest.mark.parametrize("page", ["README.md", "warmcache/README.md", "chatapp/PROTOCOL.md"])
def test_every_link_of_a_page_leads_to_a_file(page: str) -> None:
    path = ROOT / page
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text())

    assert [link for link in links if not (path.parent / link).exists()] == []
