"""docker-compose.yml and its Dockerfile: what they name is there, and pinned, and nobody's root."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import typer.main
import yaml

import streams.embedded.provider
from ledger.config import PREFIX, Settings, environment_name
from streams.cli import app
from streams.embedded.provider.__main__ import parser
from tests.architecture.tree import ROOT

CONDITIONS = {"service_started", "service_healthy", "service_completed_successfully"}
PINNED = re.compile(r"[a-z0-9./-]+:\d+\.\d+(\.\d+)?")
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8")


def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    return found


SERVICES: dict[str, dict[str, Any]] = compose()["services"]
BUILT = {name: service for name, service in SERVICES.items() if "build" in service}
OURS = {name: service for name, service in BUILT.items() if "entrypoint" not in service}


def variables() -> Iterator[tuple[str, str, Any]]:
    for name, service in SERVICES.items():
        for variable, value in service.get("environment", {}).items():
            yield name, variable, value


def commands() -> set[tuple[str, ...]]:
    return {tuple(service["command"]) for service in OURS.values()}


def test_everything_a_deployment_needs_is_a_service() -> None:
    assert SERVICES.keys() == {
        *(
            "kafka",
            "postgres",
            "redis",
            "migrate",
            "worker",
            "payments",
            "windows",
            "chain",
            "api",
            "provider",
        )
    }


@pytest.mark.parametrize("name", SERVICES)
def test_images_are_pinned(name: str) -> None:
    assert PINNED.fullmatch(SERVICES[name]["image"])


@pytest.mark.parametrize("name", SERVICES)
def test_services_wait_for_what_is_there(name: str) -> None:
    for other, how in SERVICES[name].get("depends_on", {}).items():
        assert how["condition"] in CONDITIONS
        if how["condition"] == "service_healthy":
            assert SERVICES[other]["healthcheck"]["test"]
        if how["condition"] == "service_completed_successfully":
            assert SERVICES[other]["restart"] == "no"


def test_worker_waits_for_the_books() -> None:
    waits = SERVICES["worker"]["depends_on"]
    assert waits["migrate"] == {"condition": "service_completed_successfully"}
    assert waits.keys() == {"kafka", "postgres", "migrate"}


@pytest.mark.parametrize("name", ["worker", "payments", "windows", "chain"])
def test_worker_can_be_many(name: str) -> None:
    assert SERVICES[name].keys() & {"container_name", "ports", "volumes", "hostname"} == set()


def test_volumes_are_declared() -> None:
    mounted = {
        volume.partition(":")[0] for service in SERVICES.values() for volume in service.get("volumes", [])
    }
    assert mounted == compose()["volumes"].keys()


def test_ports_are_open_to_this_machine_only() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_every_ledger_variable_is_a_setting() -> None:
    known = {environment_name(setting) for setting in Settings.model_fields}
    ours = {variable for _, variable, _ in variables() if variable.startswith(PREFIX)}
    assert ours - known == set()
    assert {"LEDGER_KAFKA_BOOTSTRAP", "LEDGER_POSTGRES_DSN"} <= ours


@pytest.mark.parametrize("name", OURS)
def test_settings_are_valid(name: str) -> None:
    given = SERVICES[name]["environment"]
    # As compose fills in what its caller's environment does not set.
    values = {
        variable.removeprefix(PREFIX).lower(): re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", str(value))
        for variable, value in given.items()
    }
    settings = Settings.model_validate(values)
    assert settings.kafka_bootstrap == "kafka:19092"
    assert all(settings.partitions >= SERVICES[each]["deploy"]["replicas"] for each in ("worker", "windows"))


def test_kafka_listens_where_the_ledger_looks_for_it() -> None:
    kafka = SERVICES["kafka"]["environment"]
    assert f"INSIDE://{OURS['worker']['environment']['LEDGER_KAFKA_BOOTSTRAP']}" in (
        kafka["KAFKA_ADVERTISED_LISTENERS"].split(",")
    )


def test_every_command_is_one_of_ours() -> None:
    known = getattr(typer.main.get_command(app), "commands", {})
    assert {command[0] for command in commands()} <= set(known)
    kinds = ("post-events", "advance-payments", "roll-windows", "chain-transactions")
    workers = {("worker", kind) for kind in kinds}
    assert commands() == {("migrate",), ("api",), *workers}


def test_provider_is_asked_and_answers_where_it_says() -> None:
    service = SERVICES["provider"]
    assert service["entrypoint"] == ["python", "-m", streams.embedded.provider.__name__]
    given = parser().parse_args(service["command"])
    assert str(given.port) in service["expose"]
    assert given.webhooks.startswith(f"http://api:{SERVICES['api']['environment']['LEDGER_API_PORT']}/")
    (volume,) = service["volumes"]
    assert str(given.book.parent) == volume.partition(":")[2]


@pytest.mark.parametrize("name", BUILT)
def test_our_containers_may_do_little(name: str) -> None:
    service = BUILT[name]
    assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
    state_dir = service["environment"].get("LEDGER_STATE_DIR")
    assert state_dir is None or state_dir in service["tmpfs"]


@pytest.mark.parametrize(
    ("name", "setting"),
    [
        ("worker", "LEDGER_WORKER_PORT"),
        ("payments", "LEDGER_WORKER_PORT"),
        ("windows", "LEDGER_WORKER_PORT"),
        ("chain", "LEDGER_WORKER_PORT"),
        ("api", "LEDGER_OPERATIONS_PORT"),
    ],
)
def test_worker_is_asked_where_it_listens(name: str, setting: str) -> None:
    worker = SERVICES[name]
    port = worker["environment"][setting]
    assert f"127.0.0.1:{port}/health/live" in worker["healthcheck"]["test"][-1]


def test_image_is_built_from_what_is_there() -> None:
    for service in OURS.values():
        assert (ROOT / service["build"]["context"] / service["build"]["dockerfile"]).is_file()
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE)
    names = [name for line in copied for name in line.split()]
    let_in = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert names
    assert all((ROOT / name).exists() and f"!{name}" in let_in for name in names)


def test_image_takes_locked_packages_and_no_root() -> None:
    installs = re.findall(r"pip (?:install|sync) [^\n]*", DOCKERFILE)
    assert all("--require-hashes" in line or "--no-deps" in line for line in installs)
    assert re.findall(r"^USER (.+)$", DOCKERFILE, re.MULTILINE) == ["10001:10001"]
    assert 'ENTRYPOINT ["ledger"]' in DOCKERFILE


def test_api_asks_the_windows_workers() -> None:
    port = SERVICES["windows"]["environment"]["LEDGER_WORKER_PORT"]
    assert SERVICES["api"]["environment"]["LEDGER_WINDOWS_URLS"] == f"http://windows:{port}"
