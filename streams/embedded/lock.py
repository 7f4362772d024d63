"""Run as a module: resolves Kafka's class path with jgo and writes it, with hashes, to kafka.lock."""

import hashlib
import sys
from pathlib import Path

from jgo.maven import Artifact, MavenContext

from streams.embedded.artifacts import LOCK_FILE, cache_directory
from streams.embedded.download import maven

KAFKA = "org.apache.kafka:kafka_2.13"
LOGGING = "org.apache.logging.log4j:log4j-slf4j-impl"


def resolved(context: MavenContext, coordinate: str) -> list[Artifact]:
    """The artifact and all that it needs to run."""
    dependency = context.create_dependency(coordinate)
    dependency.scope = "compile"
    inputs, transitive = context.resolver.resolve([dependency])
    return [found.artifact for found in (*inputs, *transitive) if found.scope in ("compile", "runtime")]


def class_path(context: MavenContext, version: str) -> list[Artifact]:
    """Kafka and the logger that its own distribution carries.

    The two are resolved one after the other: jgo takes the inputs' parents for bills of materials, and the
    logger's parent knows other versions of Kafka's clients.
    """
    kafka = resolved(context, f"{KAFKA}:{version}")
    core = next(artifact for artifact in kafka if artifact.artifactId == "log4j-core")
    names = {artifact.artifactId for artifact in kafka}
    logging = resolved(context, f"{LOGGING}:{core.version}")
    return [*kafka, *(artifact for artifact in logging if artifact.artifactId not in names)]


def locked_line(artifact: Artifact) -> str:
    """One line of the lock."""
    digest = hashlib.sha256(Path(artifact.resolve()).read_bytes()).hexdigest()
    return f"{artifact.groupId}:{artifact.artifactId}:{artifact.version} {digest}\n"


def main(version: str) -> None:
    """Write the lock for this version of Kafka."""
    context = maven(cache_directory(Path("cache")))
    head = f"# Kafka {version}, resolved by `python -m streams.embedded.lock {version}`\n"
    LOCK_FILE.write_text(head + "".join(map(locked_line, class_path(context, version))))


if __name__ == "__main__":
    main(sys.argv[1])
