"""Build the Weaviate server that the tests run, once, with Go.

It is kept outside the checkout, in ``weaviate/<version>`` of the cache, where
``vecferry.testing`` looks for it. A whole program is moved there in one step, so
a stopped build never passes for one. Without Go the tests of Weaviate are skipped.
"""

import fcntl
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from environment import ROOT, cache_folder

_KIT = ROOT / "vecferry" / "testing" / "weaviate.py"
_MODULE = "github.com/weaviate/weaviate/cmd/weaviate-server"
_PROGRAM = "weaviate-server"


def weaviate_version(kit: Path = _KIT) -> str:
    """Return the version of the server that the test kit looks for."""
    found = re.search(r'^VERSION = "([^"]+)"$', kit.read_text(), re.MULTILINE)
    if found is None:
        raise LookupError(f"{kit} names no VERSION")
    return found[1]


def build(folder: Path, version: str) -> int:
    """Put the program into ``folder`` unless it is there; return Go's exit code."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as gate:
        fcntl.flock(gate, fcntl.LOCK_EX)
        if (folder / _PROGRAM).exists():
            return 0
        if shutil.which("go") is None:
            print(
                "vecferry: without Go there is no Weaviate to test against: its tests are skipped; "
                "install Go, or set VECFERRY_TEST_WEAVIATE to a server's address",
                file=sys.stderr,
            )
            return 0
        print(f"vecferry: building Weaviate {version} into {folder} (once)", file=sys.stderr)
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            code = subprocess.run(
                ["go", "install", "-v", f"{_MODULE}@v{version}"],
                env={**os.environ, "GOBIN": scratch},
                stdin=subprocess.DEVNULL,
                stdout=sys.stderr,
                check=False,
            ).returncode
            if code == 0:
                (Path(scratch) / _PROGRAM).rename(folder / _PROGRAM)
        return code


def main(_arguments: Sequence[str]) -> int:
    """Build it unless a server is given or it is there."""
    if os.environ.get("VECFERRY_TEST_WEAVIATE"):
        return 0
    version = weaviate_version()
    return build(cache_folder() / "weaviate" / version, version)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
