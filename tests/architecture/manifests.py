"""Kubernetes manifests as kustomize builds them, as far as ours go.

`python -m tests.architecture.manifests` (`make manifests`) copies the alerts of deploy/prometheus/rules into the
component `monitoring`.
"""

import re
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml

from tests.architecture.tree import ROOT

KUBERNETES = ROOT / "deploy" / "kubernetes"
OVERLAYS = sorted(path.parent for path in (KUBERNETES / "overlays").glob("*/kustomization.yaml"))
COMPONENTS = sorted(path.parent for path in (KUBERNETES / "components").glob("*/kustomization.yaml"))
ALERTS = KUBERNETES / "components" / "monitoring" / "alerts.yaml"
RULES = ROOT / "deploy" / "prometheus" / "rules"

Manifest = dict[str, Any]

KNOWN = {
    "apiVersion",
    "kind",
    "namespace",
    "labels",
    "resources",
    "components",
    "images",
    "replicas",
    "patches",
}
"""What this reads of a kustomization; another member would be passed over."""


def documents(path: Path) -> list[Manifest]:
    """Read the documents of a file."""
    return [each for each in yaml.safe_load_all(path.read_text(encoding="utf-8")) if each]


def kustomization(directory: Path) -> Manifest:
    (found,) = documents(directory / "kustomization.yaml")
    if unknown := found.keys() - KNOWN:
        raise ValueError(f"{directory}: {unknown} is not read here")
    return found


def build(directory: Path, before: list[Manifest] | None = None) -> list[Manifest]:
    """Build what stands in a directory, upon what stood before."""
    wish = kustomization(directory)
    built = list(before or ())
    for name in wish.get("resources", ()):
        path = directory / name
        built += build(path) if path.is_dir() else documents(path)
    for name in wish.get("components", ()):
        built = build(directory / name, built)
    for patch in wish.get("patches", ()):
        _patch(built, patch)
    for wanted in wish.get("replicas", ()):
        _named(built, wanted["name"])["spec"]["replicas"] = wanted["count"]
    for container in containers_in(built):
        _name_image(container, wish.get("images", ()))
    for each in built:
        _finish(each, wish)
    return built


def containers_in(built: list[Manifest]) -> Iterator[Manifest]:
    """Give every container of every pod."""
    for each in built:
        if (pod := pod_of(each)) is not None:
            yield from pod["spec"]["containers"]


def pod_of(manifest: Manifest) -> Manifest | None:
    """Give the template of a manifest's pods, if it has any."""
    spec = manifest.get("spec", {})
    if manifest["kind"] == "CronJob":
        spec = spec["jobTemplate"]["spec"]
    found: Manifest | None = (
        spec.get("template") if manifest["kind"] in ("Deployment", "Job", "CronJob") else None
    )
    return found


def _finish(each: Manifest, wish: Manifest) -> None:
    if "namespace" in wish and each["kind"] != "Namespace":
        each["metadata"]["namespace"] = wish["namespace"]
    for group in wish.get("labels", ()):
        each["metadata"].setdefault("labels", {}).update(group["pairs"])


def _named(built: list[Manifest], name: str) -> Manifest:
    return next(
        each for each in built if each["metadata"]["name"] == name and "replicas" in each.get("spec", {})
    )


def _name_image(container: Manifest, images: list[Manifest]) -> None:
    for image in images:
        name, _, tag = container["image"].partition(":")
        if name == image["name"]:
            container["image"] = f"{image.get('newName', name)}:{image.get('newTag', tag)}"


def _patch(built: list[Manifest], patch: Manifest) -> None:
    target = patch["target"]
    hit = [
        each
        for each in built
        if each["kind"] == target["kind"] and re.fullmatch(target["name"], each["metadata"]["name"])
    ]
    if not hit:
        raise ValueError(f"a patch finds nothing: {target}")
    for each in hit:
        for operation in yaml.safe_load(patch["patch"]):
            _apply(each, operation)


def _apply(manifest: Any, operation: Manifest) -> None:
    *way, last = operation["path"].strip("/").split("/")
    for step in way:
        manifest = manifest[int(step) if isinstance(manifest, list) else step]
    if operation["op"] != "add" and last not in manifest:
        raise ValueError(f"nothing to {operation['op']} at {operation['path']}")
    if operation["op"] == "remove":
        del manifest[last]
    else:
        manifest[last] = deepcopy(operation["value"])


def alerts() -> str:
    """Write the rules of Prometheus as its operator reads them."""
    groups = [group for path in sorted(RULES.glob("*.yml")) for group in documents(path)[0]["groups"]]
    rule = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "ledger"},
        "spec": {"groups": groups},
    }
    head = "# Written by `make manifests` from deploy/prometheus/rules; change them there.\n"
    return head + yaml.safe_dump(rule, sort_keys=False, allow_unicode=True, width=110)


if __name__ == "__main__":
    ALERTS.write_text(alerts(), encoding="utf-8")
