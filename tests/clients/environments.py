"""The environments of the clients. They disagree about versions of the official client, so each has its own."""

import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
FOLDER = HERE.parents[1] / "var" / "clients"


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """One client: `requirement` is what pip installs, the script beside this file is what it is asked."""

    package: str
    version: str
    extra: str = ""

    @property
    def requirement(self) -> str:
        return f"{self.package}{self.extra}=={self.version}"

    @property
    def script(self) -> Path:
        return HERE / f"use_{self.package.replace('-', '_')}.py"

    @property
    def folder(self) -> Path:
        return FOLDER / self.package

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    @property
    def is_installed(self) -> bool:
        stamp = self.folder / "installed"
        return stamp.exists() and stamp.read_text() == self.requirement

    def install(self) -> None:
        """Makes the environment anew, if it is not there yet. Raises `CalledProcessError`."""
        if self.is_installed:
            return
        venv.create(self.folder, clear=True, with_pip=True)
        quietly = ("--quiet", "--disable-pip-version-check", "--no-input")
        subprocess.run((str(self.python), "-m", "pip", "install", *quietly, self.requirement), check=True)
        (self.folder / "installed").write_text(self.requirement)


CLIENTS = (
    Client(package="llm-anthropic", version="0.30"),
    Client(package="langchain-anthropic", version="1.7.10"),
    Client(package="litellm", version="1.110.2"),
    Client(package="pydantic-ai-slim", version="2.68.0", extra="[anthropic]"),
    Client(package="instructor", version="1.17.0", extra="[anthropic]"),
)


def install_all() -> None:
    for client in CLIENTS:
        try:
            client.install()
        except subprocess.CalledProcessError:
            # Its test is skipped and says so; the others can do without it.
            sys.stderr.write(f"{client.requirement} could not be installed; it is left out.\n")
