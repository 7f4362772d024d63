"""Kafka's jars: which ones, where they are kept, and whether they are there already."""

import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from streams.embedded.errors import ArtifactsMissingError

if TYPE_CHECKING:
    from jgo.maven import MavenContext

LOCK_FILE = Path(__file__).with_name("kafka.lock")

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class LockedJar:
    """One jar that the lock names, and the SHA-256 that it must have."""

    group: str
    artifact: str
    version: str
    sha256: str


def locked_jars(lock: Path = LOCK_FILE) -> list[LockedJar]:
    """The class path of Kafka as `python -m streams.embedded.lock` resolved it."""
    lines = lock.read_text().splitlines()
    return [locked_jar(line) for line in lines if not line.startswith("#")]


def locked_jar(line: str) -> LockedJar:
    """The jar of one line, `group:artifact:version sha256`."""
    coordinate, sha256 = line.split()
    group, artifact, version = coordinate.split(":")
    return LockedJar(group, artifact, version, sha256)


def cache_directory(fallback: Path) -> Path:
    """The user's Maven repository, which other tools share; without a usable home, `fallback`."""
    chosen, home = os.environ.get("M2_REPO"), os.environ.get("HOME")
    if chosen:
        return Path(chosen).absolute()
    # With an empty HOME the "home" would be the root directory, which root could even write.
    shared = Path(home) / ".m2" / "repository" if home else None
    return shared if shared and can_grow(shared) else fallback


def can_grow(path: Path) -> bool:
    """Whether the directory, which need not exist yet, can be written."""
    nearest = next(above for above in (path, *path.parents) if above.exists())
    return os.access(nearest, os.W_OK | os.X_OK)


def fetch(
    cache: Path, progress: Progress, context: "MavenContext | None" = None, lock: Path = LOCK_FILE
) -> list[Path]:
    """The jars, downloaded where they are missing; blocks, raises ArtifactsMissingError."""
    jars = locked_jars(lock)
    known = Known(cache, lock)
    paths = known.paths(jars)
    if paths is None:
        # Imported only for a download: jgo takes a quarter of a second of every command otherwise.
        from streams.embedded.download import Download, maven

        with exclusive(cache):
            paths = Download(context or maven(cache), progress).all(jars)
            known.remember(jars)
    return paths


class Known:
    """Remembers that the jars of a lock are all there, so that the next start neither asks nor hashes."""

    def __init__(self, cache: Path, lock: Path) -> None:
        self._cache = cache
        digest = hashlib.sha256(lock.read_bytes()).hexdigest()[:16]
        self._mark = cache / f".stream-ledger-{digest}"

    def paths(self, jars: Sequence[LockedJar]) -> list[Path] | None:
        """The jars' paths; none when they were never verified, or one has gone."""
        paths = [path_of(self._cache, jar) for jar in jars]
        return paths if self._mark.exists() and all(path.exists() for path in paths) else None

    def remember(self, jars: Sequence[LockedJar]) -> None:
        """Every jar has been verified."""
        self._mark.write_text(f"{len(jars)} jars of Kafka, verified\n")


def path_of(cache: Path, jar: LockedJar) -> Path:
    """Where the jar is in the cache once it is there."""
    folder = cache.joinpath(*jar.group.split("."), jar.artifact, jar.version)
    return folder / f"{jar.artifact}-{jar.version}.jar"


@contextmanager
def exclusive(cache: Path) -> Iterator[None]:
    """One downloader at a time: jgo writes into the cache in place."""
    try:
        cache.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(cache / ".stream-ledger.lock", os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise ArtifactsMissingError(
            f"Kafka's jars cannot be written to {cache}: {error.strerror or error}.",
            "Set M2_REPO to a directory that can be written.",
        ) from error
    try:
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
