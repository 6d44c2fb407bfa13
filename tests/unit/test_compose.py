"""docker-compose.yml and Dockerfile, held against the program that they start."""

import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from vecferry import __version__
from vecferry.cli.main import Role
from vecferry.errors import ConfigError
from vecferry.settings import Settings, parse_settings
from vecferry.testing.command_lines import program, wrong_words

ROOT = Path(__file__).resolve().parents[2]
IMAGE = "vecferry:"
CONFIG = "/etc/vecferry.toml"

# where each engine listens inside its container; 9091 and the like stay inside
LISTENS = {
    "kafka": {9092, 19092},
    "milvus": {19530},
    "qdrant": {6333, 6334},
    "weaviate": {8080, 50051},
}


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return document


def own_services(compose: dict[str, Any]) -> dict[str, Any]:
    return {
        name: service
        for name, service in compose["services"].items()
        if service["image"].startswith(IMAGE)
    }


def settings_of(compose: dict[str, Any], environ: dict[str, str] | None = None) -> Settings:
    document = tomllib.loads(compose["configs"]["vecferry"]["content"])
    return parse_settings(document, environ or {}, "docker-compose.yml")


def interpolated(value: object) -> str:
    """Return a value as compose gives it to the container when nothing is set outside."""
    return re.sub(r"\$\{\w+:?-([^}]*)\}", r"\1", str(value))


@pytest.fixture(scope="module")
def root() -> Any:
    return program()


def test_every_image_is_pinned(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        tag = service["image"].rpartition(":")[2]
        assert re.search(r"\d+[.-]\d+", tag), f"{name}: {service['image']}"


def test_the_kafka_is_the_one_that_the_tests_run(compose: dict[str, Any]) -> None:
    pom = (ROOT / "tools" / "kafka" / "pom.xml").read_text()
    found = re.search(r"<artifactId>kafka_2.13</artifactId>\s*<version>(.*?)</version>", pom)
    assert found
    assert compose["services"]["kafka"]["image"] == f"apache/kafka:{found.group(1)}"


def test_ports_are_bound_to_this_machine_alone(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        for port in service.get("ports", []):
            address, outside, inside = port.split(":")
            assert address == "127.0.0.1", f"{name}: {port}"
            assert outside == inside, f"{name}: {port}: an address in the docs would be wrong"
            assert int(inside) in LISTENS[name], f"{name}: nothing listens on {inside}"


def test_engines_say_when_they_are_ready_and_keep_what_they_hold(compose: dict[str, Any]) -> None:
    engines = compose["services"].keys() - own_services(compose).keys()
    assert engines == {"kafka", "etcd", "minio", "milvus", "qdrant", "weaviate"}
    for name in engines:
        service = compose["services"][name]
        assert service["healthcheck"]["test"][0] == "CMD", name
        assert {"interval", "timeout", "retries"} <= service["healthcheck"].keys(), name
        volume, _, folder = service["volumes"][0].partition(":")
        assert volume in compose["volumes"], name
        assert folder.startswith("/"), name
    used = {
        one.partition(":")[0] for name in engines for one in compose["services"][name]["volumes"]
    }
    assert used == set(compose["volumes"])


def test_services_wait_for_what_can_say_that_it_is_ready(compose: dict[str, Any]) -> None:
    services = compose["services"]
    for name, service in services.items():
        for other, wait in service.get("depends_on", {}).items():
            if wait["condition"] == "service_healthy":
                assert "healthcheck" in services[other], f"{name} waits for {other}"
            else:
                assert wait["condition"] == "service_completed_successfully"
                assert services[other].get("restart", "no") == "no", f"{other} never completes"


def test_kafka_listens_where_it_says_that_it_does(compose: dict[str, Any]) -> None:
    environ = compose["services"]["kafka"]["environment"]
    listeners = dict(one.split("://") for one in environ["KAFKA_LISTENERS"].split(","))
    advertised = dict(one.split("://") for one in environ["KAFKA_ADVERTISED_LISTENERS"].split(","))
    protocols = dict(
        one.split(":") for one in environ["KAFKA_LISTENER_SECURITY_PROTOCOL_MAP"].split(",")
    )
    assert protocols.keys() == listeners.keys()
    assert advertised.keys() == listeners.keys() - {environ["KAFKA_CONTROLLER_LISTENER_NAMES"]}
    for name, address in advertised.items():
        assert address.rpartition(":")[2] == listeners[name].rpartition(":")[2]
    assert environ["KAFKA_INTER_BROKER_LISTENER_NAME"] in advertised
    assert any(
        environ["KAFKA_LOG_DIRS"] == volume.partition(":")[2]
        for volume in compose["services"]["kafka"]["volumes"]
    ), "what is not in the volume is lost with the container"


def test_the_file_points_at_the_services(compose: dict[str, Any]) -> None:
    settings = settings_of(compose)
    advertised = compose["services"]["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"]
    assert f"://{settings.log.bootstrap_servers}" in advertised
    for store in (settings.source, settings.target):
        url = urlsplit(store.url)
        assert url.hostname == store.type
        assert url.port in LISTENS[store.type]


def test_every_variable_is_a_setting(compose: dict[str, Any]) -> None:
    plain = settings_of(compose)
    for name, service in own_services(compose).items():
        environ = {key: interpolated(value) for key, value in service["environment"].items()}
        assert all(key.startswith("VECFERRY_") and "__" in key for key in environ), name
        assert settings_of(compose, environ) == plain, "unset, a variable changes nothing"


def test_a_variable_that_is_no_setting_is_seen(compose: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="points_per_s_max"):
        settings_of(compose, {"VECFERRY_SNAPSHOT__POINTS_PER_SEC_MAX": "5"})


def test_one_image_serves_every_role_and_reads_the_same_file(compose: dict[str, Any]) -> None:
    services = own_services(compose)
    roles = {"init", "capture", "snapshot", "apply", "lag"}
    assert roles | {"plan", "status", "check"} == services.keys()
    assert {service["image"] for service in services.values()} == {f"{IMAGE}{__version__}"}
    for name, service in services.items():
        assert service["configs"] == [{"source": "vecferry", "target": CONFIG}], name
        assert service["command"][-2:] == ["-c", CONFIG], name


def test_the_roles_can_be_scaled(compose: dict[str, Any]) -> None:
    for name in ("capture", "snapshot", "apply"):
        assert not {"container_name", "ports", "hostname"} & compose["services"][name].keys()


def test_every_command_is_one_of_the_programs(compose: dict[str, Any], root: Any) -> None:
    for name, service in own_services(compose).items():
        assert not wrong_words(root, service["command"]), name


def test_every_role_that_up_starts_has_a_service(compose: dict[str, Any]) -> None:
    started = {
        service["command"][2]
        for service in own_services(compose).values()
        if service["command"][:2] == ["up", "--role"]
    }
    assert started == {role.value for role in Role} - {"feed"}  # which only some migrations have


@pytest.mark.parametrize(
    "line",
    ["sail -c x.toml", "up --rôle apply", "up --role helmsman", "plan now", "plan -c"],
)
def test_a_command_that_the_program_does_not_know_is_seen(root: Any, line: str) -> None:
    assert wrong_words(root, shlex.split(line))


def dockerfile() -> Iterator[tuple[str, list[str]]]:
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    for line in text.splitlines():
        if line.strip() and not line.startswith("#"):
            instruction, _, rest = line.partition(" ")
            yield instruction, rest.split()


def test_the_image_is_built_from_what_is_here() -> None:
    steps = list(dockerfile())
    for instruction, words in steps:
        if instruction == "COPY":
            for name in words[:-1]:
                assert (ROOT / name).exists(), name
        if instruction == "FROM":
            assert re.fullmatch(r"python:3\.1[1-3]\.\d+-slim-\w+", words[0])
    assert ("ENTRYPOINT", ['["python",', '"-m",', '"vecferry.cli.main"]']) in steps
    assert any(instruction == "USER" and words != ["root"] for instruction, words in steps)


def test_the_image_gets_what_it_copies() -> None:
    kept = [
        line.removeprefix("!").strip("/")
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    ]
    for instruction, words in dockerfile():
        if instruction == "COPY":
            for name in words[:-1]:
                assert any(name.strip("./") == one or name.startswith(one) for one in kept), name
