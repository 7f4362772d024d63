"""deploy/kubernetes: what it says is valid, is what the program knows, and lets in and out no more than is needed."""

import re
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import typer.main
import yaml

from ledger.config import PREFIX, Settings, environment_name
from streams.cli import app
from streams.cli.worker import WorkerName
from streams.transport.worker import STOPPING_MARGIN_S
from tests.architecture.custom_schemas import CUSTOM
from tests.architecture.manifests import (
    ALERTS,
    COMPONENTS,
    KUBERNETES,
    OVERLAYS,
    Manifest,
    alerts,
    build,
    containers_in,
    documents,
    pod_of,
)
from tests.architecture.tree import ROOT

VERSIONS = ("1.30", "1.37")
"""The oldest and the newest Kubernetes that it is for."""
COMPONENT = "app.kubernetes.io/component"
PAGE = ROOT / "docs" / "kubernetes.md"
STORES = {"kafka", "postgres", "redis"}

BUILT = {path.name: build(path) for path in OVERLAYS}
EVERY = {name: build(path, build(KUBERNETES / "base")) for name, path in ((c.name, c) for c in COMPONENTS)}
EVERYTHING = {**BUILT, **EVERY}

each_overlay = pytest.mark.parametrize("name", BUILT)
each_build = pytest.mark.parametrize("name", EVERYTHING)


def of_kind(built: list[Manifest], *kinds: str) -> list[Manifest]:
    return [each for each in built if each["kind"] in kinds]


def component(manifest: Manifest) -> str:
    return str(manifest["metadata"]["labels"].get(COMPONENT))


def ours(built: list[Manifest]) -> list[Manifest]:
    """Everything that runs our program."""
    return [each for each in built if pod_of(each) is not None and component(each) not in STORES]


def pod_labels(manifest: Manifest) -> dict[str, str]:
    pod = pod_of(manifest)
    assert pod is not None
    found: dict[str, str] = pod["metadata"]["labels"]
    return found


def container(manifest: Manifest) -> Manifest:
    (found,) = containers_in([manifest])
    return found


# Valid


def test_every_custom_manifest_is_valid() -> None:
    found = [each for built in EVERYTHING.values() for each in built if each["kind"] in CUSTOM]
    assert {each["kind"] for each in found} == CUSTOM.keys()
    for each in found:
        jsonschema.validate(each, CUSTOM[each["kind"]])


@pytest.mark.parametrize("version", VERSIONS)
def test_every_manifest_is_valid(version: str) -> None:
    once = {yaml.safe_dump(each): each for built in EVERYTHING.values() for each in built}
    for each in once.values():
        if each["kind"] not in CUSTOM:
            kubernetes_validate.validate(each, version, strict=True)


def test_what_is_not_valid_is_found() -> None:
    (made,) = [each for each in BUILT["production"] if each["metadata"]["name"] == "ledger-post-events"][:1]
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(
            {**made, "spec": {**made["spec"], "replica": 3}}, VERSIONS[-1], strict=True
        )


# What the program knows


def settings_of(built: list[Manifest]) -> dict[str, str]:
    (found,) = of_kind(built, "ConfigMap")
    data: dict[str, str] = found["data"]
    return data


@each_overlay
def test_every_setting_exists_and_is_valid(name: str) -> None:
    given = settings_of(BUILT[name])
    named = {*given, *(each["name"] for box in containers_in(ours(BUILT[name])) for each in box["env"])}
    known = {environment_name(setting) for setting in Settings.model_fields}
    assert {each for each in named if each.startswith(PREFIX)} - known == set()
    Settings.model_validate({each.removeprefix(PREFIX).lower(): value for each, value in given.items()})
    assert ("LEDGER_CONSOLE_OPERATORS" in given) == (name == "development")


@each_overlay
def test_every_worker_is_deployed_and_every_command_exists(name: str) -> None:
    known = getattr(typer.main.get_command(app), "commands", {})
    given = [container(each)["args"] for each in ours(BUILT[name])]
    assert {words[0] for words in given} <= set(known)
    assert {words[1] for words in given if words[0] == "worker"} == {kind.value for kind in WorkerName}
    assert [words for words in given if words[0] == "api"] == [["api"]]


@each_overlay
def test_probes_ask_where_the_program_listens(name: str) -> None:
    given = settings_of(BUILT[name])
    assert given["LEDGER_OPERATIONS_PORT"] == given["LEDGER_WORKER_PORT"]
    for each in of_kind(ours(BUILT[name]), "Deployment"):
        box = container(each)
        ports = {port["name"]: port["containerPort"] for port in box["ports"]}
        assert ports["operations"] == int(given["LEDGER_WORKER_PORT"])
        paths = [box[kind]["httpGet"]["path"] for kind in ("startupProbe", "livenessProbe", "readinessProbe")]
        assert paths == ["/health/live", "/health/live", "/health/ready"]
        assert {box[kind]["httpGet"]["port"] for kind in ("livenessProbe", "readinessProbe")} == {
            "operations"
        }


def test_the_paths_of_probes_are_served() -> None:
    sources = [ROOT / "streams" / "health.py", ROOT / "ledger" / "api" / "routes" / "health.py"]
    assert all(re.search(r"/live\b", path.read_text()) and "/ready" in path.read_text() for path in sources)


@each_build
def test_who_is_told_to_stop_has_the_time_to(name: str) -> None:
    settings = Settings()
    for each in of_kind(ours(EVERYTHING[name]), "Deployment"):
        pod = pod_of(each)
        assert pod is not None
        sleep = container(each).get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        needed = (
            settings.api_shutdown_s + sleep
            if component(each) == "api"
            else settings.rebalance_timeout_s + STOPPING_MARGIN_S
        )
        assert pod["spec"]["terminationGracePeriodSeconds"] > needed


def secrets_told() -> set[str]:
    (section,) = re.findall(
        r"^## Secrets$(.*?)^## ", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    return set(re.findall(r"^\| `([a-z-]+)` \|", section, re.MULTILINE))


@each_overlay
def test_secrets_are_named_and_told_of(name: str) -> None:
    refs = [
        each["valueFrom"]["secretKeyRef"]
        for box in containers_in(ours(BUILT[name]))
        for each in box["env"]
        if "secretKeyRef" in each.get("valueFrom", {})
    ]
    named = {(ref["name"], ref["key"]) for ref in refs}
    assert {secret for secret, _ in named} == {"ledger"}
    assert {key for _, key in named} == secrets_told()


def test_no_secret_stands_here_but_that_of_development() -> None:
    holders = [name for name, built in EVERYTHING.items() if of_kind(built, "Secret")]
    assert holders == ["development"]
    (secret,) = of_kind(BUILT["development"], "Secret")
    assert secret["stringData"].keys() == secrets_told()


@each_overlay
def test_only_migrations_run_as_the_owner(name: str) -> None:
    owners = {
        container(each)["args"][0]
        for each in ours(BUILT[name])
        for variable in container(each)["env"]
        if variable.get("valueFrom", {}).get("secretKeyRef", {}).get("key") == "postgres-owner-dsn"
    }
    assert owners == {"migrate"}


@each_overlay
def test_the_job_migrates(name: str) -> None:
    (job,) = of_kind(BUILT[name], "Job")
    assert container(job)["args"] == ["migrate"]


# What may go wrong


@each_build
def test_pods_may_do_little(name: str) -> None:
    for each in EVERYTHING[name]:
        pod = pod_of(each)
        if pod is None:
            continue
        spec, box = pod["spec"], container(each)
        assert spec["automountServiceAccountToken"] is False
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert box["securityContext"]["allowPrivilegeEscalation"] is False
        assert box["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert component(each) in STORES or box["securityContext"]["readOnlyRootFilesystem"] is True
        assert box["resources"]["requests"].keys() == {"cpu", "memory"}
        assert "memory" in box["resources"]["limits"]


@each_build
def test_images_are_pinned(name: str) -> None:
    images = {box["image"] for box in containers_in(EVERYTHING[name])}
    assert all(re.fullmatch(r"[a-z0-9./-]+:\d+\.\d+(\.\d+)?", image) for image in images), images


@each_overlay
def test_a_roll_takes_nobody_away_before_the_next_is_ready(name: str) -> None:
    for each in of_kind(ours(BUILT[name]), "Deployment"):
        assert each["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
        assert each["spec"]["minReadySeconds"] > 0


@each_overlay
def test_every_deployment_has_a_disruption_budget(name: str) -> None:
    selected = {
        each["spec"]["selector"]["matchLabels"][COMPONENT]: each["spec"]
        for each in of_kind(BUILT[name], "PodDisruptionBudget")
    }
    assert selected.keys() == {component(each) for each in of_kind(ours(BUILT[name]), "Deployment")}
    assert {spec["maxUnavailable"] for spec in selected.values()} == {1}


def matches(selector: Manifest, labels: dict[str, str]) -> bool:
    equal = all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())
    return equal and all(
        labels.get(each["key"]) in each["values"] for each in selector.get("matchExpressions", ())
    )


@each_build
def test_services_and_deployments_select_pods_that_there_are(name: str) -> None:
    built = EVERYTHING[name]
    pods = [(pod_labels(each), container(each)) for each in built if pod_of(each) is not None]
    for each in of_kind(built, "Service"):
        boxes = [box for labels, box in pods if matches({"matchLabels": each["spec"]["selector"]}, labels)]
        ports = {port["targetPort"] for port in each["spec"]["ports"]}
        assert boxes
        assert all(ports <= {port["name"] for port in box["ports"]} for box in boxes)
    for each in of_kind(built, "Deployment"):
        mine = [labels for labels, _ in pods if matches(each["spec"]["selector"], labels)]
        assert mine == [pod_labels(each)]


# Who talks to whom

WORKERS = ("post-events", "roll-windows", "advance-payments", "chain-transactions")
NEEDED_OUT: dict[str, set[Any]] = {
    "migrate": {9092, 5432},
    "verify": {9092, 5432},
    "post-events": {9092, 5432, 4318},
    "roll-windows": {9092, 4318},
    "advance-payments": {9092, 5432, 4318, 443},
    "chain-transactions": {9092, 5432, 4318},
    "api": {9092, 5432, 6379, 4318, 8081},
}
NEEDED_IN = {**{name: {("monitoring", 8081)} for name in WORKERS}, "migrate": set(), "verify": set()}
NEEDED_IN["roll-windows"] |= {("api", 8081)}
NEEDED_IN["api"] = {("monitoring", 8081), ("ingress", 8080)}


def policies(built: list[Manifest], labels: dict[str, str], direction: str) -> list[Manifest]:
    """Every rule of one direction for a pod."""
    found = [
        each["spec"]
        for each in of_kind(built, "NetworkPolicy")
        if matches(each["spec"]["podSelector"], labels)
    ]
    return [rule for spec in found for rule in spec.get(direction, ())]


@each_overlay
def test_nothing_is_allowed_that_is_not_said(name: str) -> None:
    (deny,) = [
        each["spec"]
        for each in of_kind(BUILT[name], "NetworkPolicy")
        if each["metadata"]["name"] == "ledger-default-deny"
    ]
    assert deny == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


@each_overlay
def test_each_part_reaches_what_it_needs_and_no_more(name: str) -> None:
    for each in ours(BUILT[name]):
        rules = policies(BUILT[name], pod_labels(each), "egress")
        assert all(rule.get("to") for rule in rules)
        ports = {port["port"] for rule in rules for port in rule["ports"]}
        assert ports - {53} == NEEDED_OUT[component(each)], component(each)


@each_overlay
def test_each_part_is_reached_by_those_who_need_it(name: str) -> None:
    for each in ours(BUILT[name]):
        found = set()
        for rule in policies(BUILT[name], pod_labels(each), "ingress"):
            for peer in rule["from"]:
                (labels,) = [selector["matchLabels"] for selector in peer.values()]
                (who,) = labels.values()
                found |= {(who, port["port"]) for port in rule["ports"]}
        assert found == NEEDED_IN[component(each)], component(each)


def test_a_provider_is_never_looked_for_inside() -> None:
    (policy,) = [
        each["spec"]
        for each in BUILT["production"]
        if each["metadata"]["name"] == "ledger-payments-to-providers"
    ]
    (block,) = [peer["ipBlock"] for peer in policy["egress"][0]["to"]]
    assert {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16"} <= set(block["except"])


# Autoscaling, alerts


@pytest.mark.parametrize("name", ["production", "keda", "hpa"])
def test_autoscalers_scale_what_there_is_by_a_lag_that_there_is(name: str) -> None:
    built, settings = EVERYTHING[name], Settings()
    partitions = int(settings_of(built)["LEDGER_PARTITIONS"])
    groups = {
        (settings.payments_topic, settings.posting_group),
        (settings.entries_topic, settings.windows_group),
        (settings.outcomes_topic, settings.chain_group),
    }
    deployments = {each["metadata"]["name"]: each for each in of_kind(built, "Deployment")}
    scalers = of_kind(built, "ScaledObject", "HorizontalPodAutoscaler")
    assert {each["spec"]["scaleTargetRef"]["name"] for each in scalers} <= deployments.keys()
    for each in scalers:
        spec = each["spec"]
        assert spec.get("maxReplicaCount", spec.get("maxReplicas")) <= partitions
        assert "replicas" not in deployments[spec["scaleTargetRef"]["name"]]["spec"]
        given = [trigger["metadata"] for trigger in spec.get("triggers", ()) if trigger["type"] == "kafka"]
        assert {(each["topic"], each["consumerGroup"]) for each in given} <= groups
        servers = settings_of(built)["LEDGER_KAFKA_BOOTSTRAP"]
        assert all(each["bootstrapServers"] == servers for each in given)


def test_alerts_are_those_of_prometheus() -> None:
    assert ALERTS.read_text(encoding="utf-8") == alerts()


def test_pods_are_monitored_under_the_names_that_alerts_go_by() -> None:
    (monitor,) = documents(KUBERNETES / "components" / "monitoring" / "pod-monitor.yaml")
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    jobs = {each["regex"]: each["replacement"] for each in endpoint["relabelings"]}
    scraped = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text())[
        "scrape_configs"
    ]
    assert jobs.keys() == {*WORKERS, "api"}
    assert set(jobs.values()) == {each["job_name"] for each in scraped}
