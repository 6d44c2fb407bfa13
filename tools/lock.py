"""Write the locks anew from ``pyproject.toml``: versions and hashes, no addresses.

``requirements.lock`` holds everything (the ``dev`` extra); the smaller ones
are subsets with the same versions: what the demo needs, what a role in a
container needs, and the installer that the others are installed with. Each is
good for every Python from 3.11 and every platform.
"""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from environment import LOCKS, ROOT, require_environment

_FLAGS = (
    *("--universal", "--python-version", "3.11", "--generate-hashes", "--only-binary", ":all:"),
    *("--no-annotate", "--no-header", "--no-emit-index-url", "--no-emit-find-links", "--quiet"),
)
EXTRAS = {"dev": "dev", "demo": "demo", "run": "all"}


def lock_command(uv: str, name: str, output: Path) -> list[str]:
    """Return the command that resolves one lock."""
    if name == "uv":
        return [uv, "pip", "compile", "-", *_FLAGS, "--output-file", str(output)]
    command = [uv, "pip", "compile", str(ROOT / "pyproject.toml"), "--extra", EXTRAS[name]]
    if name != "dev":
        command += ["--constraints", str(LOCKS["dev"])]
    return [*command, *_FLAGS, "--output-file", str(output)]


def main(arguments: Sequence[str]) -> int:
    """Resolve every lock; ``--upgrade`` takes the newest versions instead of the locked ones."""
    uv = str(require_environment("uv").with_name("uv"))
    for name in ("uv", "dev", "demo", "run"):
        command = [*lock_command(uv, name, LOCKS[name]), *arguments]
        done = subprocess.run(command, input="uv\n" if name == "uv" else "", text=True, check=False)
        if done.returncode:
            return done.returncode
        print(f"{LOCKS[name].relative_to(ROOT)} is written", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
