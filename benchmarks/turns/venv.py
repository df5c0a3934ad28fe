"""The peers' virtual environment: made once in `var/`, with the same versions as ours, and reused."""

import hashlib
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "var" / "benchmark-peers"


def python_of_peers() -> str:
    """The environment's interpreter. Installs what is missing, which takes a minute."""
    requirements = ROOT / "requirements.txt"
    stamp, wanted = FOLDER / "stamp", hashlib.sha256(requirements.read_bytes()).hexdigest()
    python = FOLDER / "bin" / "python"
    if not stamp.exists() or stamp.read_text() != wanted:
        print(f"installing the peers into {FOLDER} ...", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(FOLDER)], check=True)
        install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*install, "-r", str(requirements)], check=True)
        stamp.write_text(wanted)
    return str(python)
