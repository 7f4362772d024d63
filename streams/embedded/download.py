"""Brings Kafka's jars from Maven Central to this machine, by jgo, without Maven, and verifies each."""

import hashlib
import threading
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path

from jgo.config import GlobalSettings
from jgo.constants import MAVEN_CENTRAL_URL
from jgo.maven import Artifact, MavenContext
from requests import RequestException

from streams.embedded.artifacts import LockedJar, Progress
from streams.embedded.errors import ArtifactsMissingError

DOWNLOADS_AT_ONCE = 8
DOWNLOAD_ATTEMPTS = 2


def maven(cache: Path) -> MavenContext:
    """jgo's view of Maven Central, or of the mirror named `central` in the user's jgo configuration."""
    repositories = {"central": MAVEN_CENTRAL_URL, **GlobalSettings.load().repositories}
    return MavenContext(repo_cache=cache, remote_repos=repositories)


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
