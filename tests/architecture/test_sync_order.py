"""deploy/kubernetes in the order in which Argo CD applies it: what migrations need, then migrations, then the rest."""

from collections.abc import Iterator

import pytest

from tests.architecture.manifests import OVERLAYS, Manifest, build, containers_in, pod_of

COMPONENT = "app.kubernetes.io/component"
ARGO = "argocd.argoproj.io"
STORES = {"kafka", "postgres"}
BUILT = {path.name: build(path) for path in OVERLAYS}

each_overlay = pytest.mark.parametrize("name", BUILT)


def wave(manifest: Manifest) -> int:
    return int(manifest["metadata"].get("annotations", {}).get(f"{ARGO}/sync-wave", 0))


def component(manifest: Manifest) -> str:
    return str(manifest["metadata"].get("labels", {}).get(COMPONENT))


def job_of(built: list[Manifest]) -> Manifest:
    (job,) = [each for each in built if each["kind"] == "Job"]
    return job


def named_by(job: Manifest) -> Iterator[tuple[str, str]]:
    """What a job's pod cannot start without."""
    pod = pod_of(job)
    assert pod is not None
    yield "ServiceAccount", pod["spec"]["serviceAccountName"]
    yield "Namespace", job["metadata"]["namespace"]
    for box in containers_in([job]):
        yield from (("ConfigMap", each["configMapRef"]["name"]) for each in box["envFrom"])
        refs = [each["valueFrom"]["secretKeyRef"] for each in box["env"] if "valueFrom" in each]
        yield from (("Secret", ref["name"]) for ref in refs)


def needed_by(job: Manifest, built: list[Manifest]) -> list[Manifest]:
    """What stands here of what a job needs: what it names, the ways to the stores, and the stores themselves."""
    named = set(named_by(job))
    return [
        each
        for each in built
        if (each["kind"], each["metadata"]["name"]) in named
        or each["kind"] == "NetworkPolicy"
        or component(each) in STORES
    ]


@each_overlay
def test_migrations_run_in_every_sync_and_in_its_order(name: str) -> None:
    annotations = job_of(BUILT[name])["metadata"]["annotations"]
    told = {key.partition("/")[2]: value for key, value in annotations.items() if key.startswith(ARGO)}
    # A hook of another phase would know no order with what is no hook.
    assert told == {"hook": "Sync", "hook-delete-policy": "BeforeHookCreation", "sync-wave": "-1"}


@each_overlay
def test_what_migrations_need_comes_before_them(name: str) -> None:
    job = job_of(BUILT[name])
    needed = needed_by(job, BUILT[name])
    assert {"ServiceAccount", "Namespace", "ConfigMap", "NetworkPolicy"} <= {each["kind"] for each in needed}
    assert [each["metadata"]["name"] for each in needed if wave(each) >= wave(job)] == []
    assert [each["metadata"]["name"] for each in needed if f"{ARGO}/hook" in str(each["metadata"])] == []


@each_overlay
def test_what_needs_the_tables_comes_after_migrations(name: str) -> None:
    job = job_of(BUILT[name])
    before = [each for each in BUILT[name] if wave(each) <= wave(job) and each is not job]
    pods = [component(each) for each in before if pod_of(each) is not None]
    assert set(pods) <= {*STORES, "redis"}


@each_overlay
def test_what_comes_before_migrations_can_be_applied_alone(name: str) -> None:
    before = [each for each in BUILT[name] if wave(each) < wave(job_of(BUILT[name]))]
    assert {component(each) for each in before} - {*STORES, "redis"} == {"foundation"}
