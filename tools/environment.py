"""Make the virtual environment that one of the locks describes, and print its Python.

``python3 tools/environment.py dev`` prints the path of a Python in which every
package of ``requirements.lock`` is installed; ``demo`` and ``run`` take the
smaller locks. An environment is named by what went into it (the lock, the
interpreter, the machine), so several checkouts share one and a changed lock
makes another. The project itself is not installed: a checkout runs its own
code with ``PYTHONPATH``.

Only the standard library is used: this runs before anything is installed.
"""

import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import time
import venv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCKS = {
    "dev": ROOT / "requirements.lock",
    "demo": ROOT / "tools" / "locks" / "demo.lock",
    "run": ROOT / "tools" / "locks" / "run.lock",
    "uv": ROOT / "tools" / "locks" / "uv.lock",
}
_OLDEST = (3, 11)
_COMPLETE = ".complete"


class UnmadeError(Exception):
    """The environment cannot be made; the message says what to do."""


def cache_folder() -> Path:
    """Return where everything is kept that is not part of the checkout."""
    return Path(os.environ.get("VECFERRY_CACHE") or "~/.cache/vecferry").expanduser()


def environment_folder(name: str) -> Path:
    """Return where the environment of this lock and this interpreter belongs."""
    parts = (
        LOCKS[name].read_bytes(),
        platform.python_version().encode(),
        platform.python_implementation().encode(),
        platform.machine().encode(),
        os.fsencode(sys.base_prefix),
    )
    digest = hashlib.sha256(b"\0".join(parts)).hexdigest()[:12]
    major_minor = f"py{sys.version_info.major}{sys.version_info.minor}"
    return cache_folder() / "venvs" / f"{name}-{major_minor}-{digest}"


def python_of(folder: Path) -> Path:
    """Return the interpreter of an environment."""
    return folder / "bin" / "python"


def require_environment(name: str) -> Path:
    """Return the environment's Python, making the environment where it is missing.

    Raises:
        UnmadeError: The interpreter is too old, or packages cannot be
            had; the installer's own words were shown before.
    """
    if sys.version_info[:2] < _OLDEST:
        raise UnmadeError(
            f"Vecferry needs Python {_OLDEST[0]}.{_OLDEST[1]} or newer and this is "
            f"{platform.python_version()}: give another with `make PYTHON=python3.11 …`"
        )
    folder = environment_folder(name)
    if (folder / _COMPLETE).exists():
        return python_of(folder)
    with _only_one(folder):
        if not (folder / _COMPLETE).exists():  # another process may have made it meanwhile
            _make(name, folder)
    return python_of(folder)


@contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f".{folder.name}.lock").open("w") as gate:
        fcntl.flock(gate, fcntl.LOCK_EX)
        yield


def _make(name: str, folder: Path) -> None:
    began = time.monotonic()
    packages = sum("==" in line for line in LOCKS[name].read_text().splitlines())
    _say(f"making {folder}: up to {packages} packages, pinned and checked by hash (once)")
    if folder.exists():
        shutil.rmtree(folder)  # left half made
    if name == "uv":
        _install_with_pip(name, folder)
    else:
        _install(name, folder)
    # the mark is written last: a killed install is made again
    (folder / _COMPLETE).touch()
    _say(f"{folder.name} is ready after {time.monotonic() - began:.0f} s")


def _install(name: str, folder: Path) -> None:
    # uv is several times faster, but does not read pip's own settings: where it
    # is not to be had or cannot install, pip does the same work
    try:
        uv = require_environment("uv").with_name("uv")
        _create(folder, with_pip=False)
        _run(
            [
                *(str(uv), "pip", "install", "--python", str(python_of(folder))),
                *("--require-hashes", "--only-binary", ":all:", "--compile-bytecode"),
                *("-r", str(LOCKS[name])),
            ]
        )
    except (UnmadeError, OSError) as failure:
        _say(f"uv cannot do it here ({failure}): going on with pip")
        if folder.exists():
            shutil.rmtree(folder)
        _install_with_pip(name, folder)


def _install_with_pip(name: str, folder: Path) -> None:
    _create(folder, with_pip=True)
    _run(
        [
            *(str(python_of(folder)), "-m", "pip", "install", "--disable-pip-version-check"),
            *("--require-hashes", "--only-binary", ":all:", "-r", str(LOCKS[name])),
        ]
    )


def _create(folder: Path, *, with_pip: bool) -> None:
    try:
        venv.EnvBuilder(with_pip=with_pip, symlinks=True).create(folder)
    except subprocess.CalledProcessError as error:
        raise UnmadeError(
            f"{sys.executable} cannot make a virtual environment with pip: install its `venv` and "
            "`ensurepip` (on Debian the package python3-venv), or use another Python with "
            "`make PYTHON=…`"
        ) from error


def _run(command: Sequence[str]) -> None:
    # the installer's progress goes to stderr: stdout is this program's answer.
    # PYTHONPATH would let the checkout or the caller hide what is to be installed
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=sys.stderr, env=environ, check=False
    )
    if done.returncode:
        raise UnmadeError(f"{Path(command[0]).name} ended with {done.returncode}")


def _say(text: str) -> None:
    print(f"vecferry: {text}", file=sys.stderr, flush=True)


def main(arguments: Sequence[str]) -> int:
    """Print the Python of the environment that the argument names."""
    if len(arguments) != 1 or arguments[0] not in LOCKS:
        print(f"usage: environment.py {'|'.join(LOCKS)}", file=sys.stderr)
        return 2
    try:
        print(require_environment(arguments[0]))
    except UnmadeError as failure:
        _say(str(failure))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
