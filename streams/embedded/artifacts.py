"""Kafka's jars: which ones, and how they get from Maven Central to this machine, by jgo, without Maven."""

import fcntl
import hashlib
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from jgo.config import GlobalSettings
from jgo.constants import MAVEN_CENTRAL_URL, default_maven_repo
from jgo.maven import Artifact, MavenContext
from requests import RequestException

from streams.embedded.errors import ArtifactsMissingError

LOCK_FILE = Path(__file__).with_name("kafka.lock")
DOWNLOADS_AT_ONCE = 8
DOWNLOAD_ATTEMPTS = 2

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
    if os.environ.get("M2_REPO"):
        return default_maven_repo()
    # With an empty HOME the "home" is the root directory, which root could even write.
    return default_maven_repo() if os.environ.get("HOME") and can_grow(default_maven_repo()) else fallback


def can_grow(path: Path) -> bool:
    """Whether the directory, which need not exist yet, can be written."""
    nearest = next(above for above in (path, *path.parents) if above.exists())
    return os.access(nearest, os.W_OK | os.X_OK)


def maven(cache: Path) -> MavenContext:
    """jgo's view of Maven Central, or of the mirror named `central` in the user's jgo configuration."""
    repositories = {"central": MAVEN_CENTRAL_URL, **GlobalSettings.load().repositories}
    return MavenContext(repo_cache=cache, remote_repos=repositories)


def fetch(cache: Path, progress: Progress, context: MavenContext | None = None) -> list[Path]:
    """The jars, downloaded where they are missing; blocks, raises ArtifactsMissingError."""
    jars = locked_jars()
    known = Known(cache)
    paths = known.paths(jars)
    if paths is None:
        with exclusive(cache):
            paths = Download(context or maven(cache), progress).all(jars)
            known.remember(jars)
    return paths


class Known:
    """Remembers that the jars of a lock are all there, so that the next start neither asks nor hashes."""

    def __init__(self, cache: Path) -> None:
        self._cache = cache
        digest = hashlib.sha256(LOCK_FILE.read_bytes()).hexdigest()[:16]
        self._mark = cache / f".stream-ledger-{digest}"

    def paths(self, jars: Sequence[LockedJar]) -> list[Path] | None:
        """The jars' paths; none when they were never verified, or one has gone."""
        paths = [path_of(self._cache, jar) for jar in jars]
        return paths if self._mark.exists() and all(path.exists() for path in paths) else None

    def remember(self, jars: Sequence[LockedJar]) -> None:
        """Every jar has been verified."""
        self._mark.write_text(f"{len(jars)} jars of Kafka, verified\n")


class Download:
    """Brings jars into the cache, several at once, and verifies each."""

    def __init__(self, context: MavenContext, progress: Progress) -> None:
        self._context = context
        self._progress = progress
        self._done = 0
        self._counting = threading.Lock()

    def all(self, jars: Sequence[LockedJar]) -> list[Path]:
        """The path of each jar, in order."""
        with ThreadPoolExecutor(DOWNLOADS_AT_ONCE, thread_name_prefix="jar") as pool:
            futures = [pool.submit(self._one, jar, len(jars)) for jar in jars]
            wait(futures, return_when=FIRST_EXCEPTION)
            pool.shutdown(wait=True, cancel_futures=True)
        for future in futures:
            if not future.cancelled():
                future.result()
        return [future.result() for future in futures]

    def _one(self, jar: LockedJar, total: int) -> Path:
        path = self._verified(jar)
        with self._counting:
            self._done += 1
            self._progress(self._done, total)
        return path

    def _verified(self, jar: LockedJar) -> Path:
        for _ in range(DOWNLOAD_ATTEMPTS):
            path = self._resolved(jar)
            if hashlib.sha256(path.read_bytes()).hexdigest() == jar.sha256:
                return path
            # jgo writes in place, so a download cut short leaves half a jar that it would then trust.
            path.unlink()
        raise ArtifactsMissingError(
            f"{jar.group}:{jar.artifact}:{jar.version} was downloaded but is not the file that is expected.",
            "Look whether a proxy or a mirror changes downloads.",
        )

    def _resolved(self, jar: LockedJar) -> Path:
        try:
            return artifact_of(self._context, jar).resolve()
        except (RequestException, RuntimeError) as error:
            raise self._absent(jar) from error
        except OSError as error:
            raise ArtifactsMissingError(
                f"Kafka's jars cannot be written to {self._context.repo_cache}: {error.strerror or error}.",
                "Free some room, or set M2_REPO to a directory that can be written.",
            ) from error

    def _absent(self, jar: LockedJar) -> ArtifactsMissingError:
        return ArtifactsMissingError(
            "Kafka is not on this machine yet, and "
            f"{jar.artifact}-{jar.version}.jar cannot be downloaded from Maven Central.",
            "Connect to the network for the first start (45 MB once), "
            "or set LEDGER_KAFKA_BOOTSTRAP to a Kafka that runs.",
        )


def artifact_of(context: MavenContext, jar: LockedJar) -> Artifact:
    """jgo's name for the jar."""
    return context.project(jar.group, jar.artifact).at_version(jar.version).artifact()


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
