"""The manifests as kubectl builds them, and the canary, which runs another version than those beside it."""

import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest
import yaml

from tests.architecture.manifests import KUBERNETES, OVERLAYS, Manifest, build
from tests.architecture.test_kubernetes import BUILT, EVERYTHING, container, of_kind, pod_labels

needs_kubectl = pytest.mark.skipif(
    shutil.which("kubectl") is None, reason="not run: needs kubectl, which builds them itself"
)


def named(built: Iterable[Manifest]) -> dict[tuple[str, str], Manifest]:
    return {(each["kind"], each["metadata"]["name"]): each for each in built}


def kustomized(path: Path) -> dict[tuple[str, str], Manifest]:
    """Build what stands in a directory with kubectl."""
    text = subprocess.run(["kubectl", "kustomize", str(path)], capture_output=True, check=True).stdout
    return named(yaml.safe_load_all(text))


def with_canary(directory: Path) -> Path:
    """Copy all of it, and add the canary to production as the documents tell."""
    shutil.copytree(KUBERNETES, directory / "kubernetes")
    path = directory / "kubernetes" / "overlays" / "production" / "kustomization.yaml"
    wish = yaml.safe_load(path.read_text(encoding="utf-8"))
    wish["components"].append("../../components/canary")
    path.write_text(yaml.safe_dump(wish), encoding="utf-8")
    return path.parent


@needs_kubectl
@pytest.mark.parametrize("path", OVERLAYS, ids=lambda path: path.name)
def test_what_is_checked_here_is_what_kustomize_builds(path: Path) -> None:
    assert kustomized(path) == named(BUILT[path.name])


@needs_kubectl
def test_kustomize_builds_production_with_its_canary_as_it_is_built_here(tmp_path: Path) -> None:
    path = with_canary(tmp_path)
    assert kustomized(path) == named(build(path))


def test_a_canary_in_production_runs_the_version_that_is_tried(tmp_path: Path) -> None:
    built = of_kind(build(with_canary(tmp_path)), "Deployment")
    images = {
        track: {container(each)["image"] for each in built if pod_labels(each)["track"] == track}
        for track in ("stable", "canary")
    }
    assert images == {
        "stable": {"registry.example.com/stream-ledger:0.1.0"},
        "canary": {"registry.example.com/stream-ledger:0.2.0"},
    }


@pytest.mark.parametrize("kind", ["post-events", "api"])
def test_a_canary_is_as_its_stable_kin(kind: str) -> None:
    built = {each["metadata"]["name"]: each for each in EVERYTHING["canary"] if each["kind"] == "Deployment"}
    stable, canary = built[f"ledger-{kind}"], built[f"ledger-{kind}-canary"]
    told = yaml.safe_dump(canary["spec"]).replace("track: canary", "track: stable")
    told = re.sub(r"image: stream-ledger\S*", "image: stream-ledger:0.1.0", told)
    assert yaml.safe_load(told) == {**stable["spec"], "replicas": 1}
    assert container(canary)["image"] != container(stable)["image"]
