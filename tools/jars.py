"""Fetch the jars of the Apache Kafka that the tests run, once, with Maven.

They are kept outside the checkout, in ``kafka/<version>/lib`` of the cache,
where ``vecferry.testing`` looks for them. A complete set is moved there in one
step, so a stopped download never passes for one.
"""

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

from environment import ROOT, cache_folder

_POM = ROOT / "tools" / "kafka" / "pom.xml"
_NAMESPACE = {"m": "http://maven.apache.org/POM/4.0.0"}


def kafka_version(pom: Path = _POM) -> str:
    """Return the version of the broker that the project file names."""
    for dependency in ElementTree.parse(pom).iterfind(".//m:dependency", _NAMESPACE):
        if dependency.findtext("m:groupId", "", _NAMESPACE) == "org.apache.kafka":
            return dependency.findtext("m:version", "", _NAMESPACE)
    raise LookupError(f"{pom} names no org.apache.kafka")


def fetch(folder: Path, version: str) -> int:
    """Fill ``folder/lib`` unless it is there; return Maven's exit code."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as gate:  # the test kit takes the same one
        fcntl.flock(gate, fcntl.LOCK_EX)
        if (folder / "lib" / f"kafka-server-{version}.jar").exists():
            return 0
        if shutil.which("mvn") is None or shutil.which("java") is None:
            print(
                "vecferry: the tests run Apache Kafka, which needs Java 17 and Maven: install them, "
                "or set VECFERRY_TEST_KAFKA to a broker's address, or run `make test-fast`",
                file=sys.stderr,
            )
            return 1
        print(f"vecferry: fetching Apache Kafka's jars into {folder} (once)", file=sys.stderr)
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            code = _copy_with_maven(Path(scratch))
            if code == 0:
                shutil.rmtree(folder / "lib", ignore_errors=True)
                os.rename(Path(scratch) / "lib", folder / "lib")
        return code


def _copy_with_maven(scratch: Path) -> int:
    # Maven writes beside the project file, which is not to be in the checkout
    shutil.copy(_POM, scratch / "pom.xml")
    command = ["mvn", "--batch-mode", "dependency:copy-dependencies"]
    command += [f"-DoutputDirectory={scratch / 'lib'}", "-DincludeScope=runtime"]
    return subprocess.run(
        command, cwd=scratch, stdin=subprocess.DEVNULL, stdout=sys.stderr, check=False
    ).returncode


def main(_arguments: Sequence[str]) -> int:
    """Fetch them unless a broker is given or they are there."""
    if os.environ.get("VECFERRY_TEST_KAFKA"):
        return 0
    version = kafka_version()
    return fetch(cache_folder() / "kafka" / version, version)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
