"""Kafka's jars: what the lock says, and what happens to a bad, half or missing download."""

import hashlib
from pathlib import Path
from typing import cast

import pytest
from jgo.maven import MavenContext
from requests import ConnectionError as NoConnection

from streams.embedded.artifacts import cache_directory, fetch, locked_jars
from streams.embedded.errors import ArtifactsMissingError

GOOD = b"a jar"


class FakeMaven:
    """Stands for a repository with one jar: project, version, artifact and file in one."""

    def __init__(self, cache: Path, content: bytes | None) -> None:
        self.repo_cache = cache
        self.path = cache / "org" / "books" / "kafka" / "4.3.1" / "kafka-4.3.1.jar"
        self.content = content
        self.asked = 0

    def project(self, group: str, artifact: str) -> "FakeMaven":
        return self

    def at_version(self, version: str) -> "FakeMaven":
        return self

    def artifact(self) -> "FakeMaven":
        return self

    def resolve(self) -> Path:
        if not self.path.exists():
            self.asked += 1
            if self.content is None:
                raise NoConnection("no network")
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.write_bytes(self.content)
        return self.path


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    path = tmp_path / "kafka.lock"
    path.write_text(f"# why\norg.books:kafka:4.3.1 {hashlib.sha256(GOOD).hexdigest()}\n")
    return path


def fetched(maven: FakeMaven, lock: Path) -> list[Path]:
    return fetch(maven.repo_cache, lambda done, total: None, cast(MavenContext, maven), lock)


def test_the_lock_names_a_kafka_from_4_1_on_with_its_logger() -> None:
    versions = {jar.artifact: jar.version for jar in locked_jars()}
    assert tuple(map(int, versions["kafka_2.13"].split("."))) >= (4, 1)
    assert versions["kafka-clients"] == versions["kafka_2.13"]
    assert versions["log4j-slf4j-impl"] == versions["log4j-core"]


def test_the_second_start_asks_nobody(tmp_path: Path, lock: Path) -> None:
    maven = FakeMaven(tmp_path / "cache", GOOD)
    assert fetched(maven, lock) == fetched(FakeMaven(tmp_path / "cache", None), lock) == [maven.path]


def test_half_a_jar_is_fetched_again(tmp_path: Path, lock: Path) -> None:
    maven = FakeMaven(tmp_path / "cache", GOOD)
    maven.path.parent.mkdir(parents=True)
    maven.path.write_bytes(GOOD[:2])
    fetched(maven, lock)
    assert maven.path.read_bytes() == GOOD


def test_a_jar_that_is_not_the_expected_one_is_refused(tmp_path: Path, lock: Path) -> None:
    maven = FakeMaven(tmp_path / "cache", b"something else")
    with pytest.raises(ArtifactsMissingError, match="not the file that is expected"):
        fetched(maven, lock)
    assert not maven.path.exists()


def test_without_network_the_error_says_what_is_missing(tmp_path: Path, lock: Path) -> None:
    with pytest.raises(ArtifactsMissingError, match="not on this machine yet") as caught:
        fetched(FakeMaven(tmp_path / "cache", None), lock)
    assert "LEDGER_KAFKA_BOOTSTRAP" in caught.value.hint


def test_a_cache_that_cannot_be_made_is_named(tmp_path: Path, lock: Path) -> None:
    (tmp_path / "cache").write_text("in the way")
    with pytest.raises(ArtifactsMissingError, match="cannot be written"):
        fetched(FakeMaven(tmp_path / "cache", GOOD), lock)


def test_without_a_home_the_jars_go_beside_the_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("M2_REPO", raising=False)
    monkeypatch.setenv("HOME", "")
    assert cache_directory(tmp_path) == tmp_path


def test_a_repository_that_is_set_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("M2_REPO", str(tmp_path / "shared"))
    assert cache_directory(tmp_path) == tmp_path / "shared"
