"""What commands share: exit codes, faults told in a sentence, and output for people or programs."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import asyncpg
import typer
from aiokafka.errors import KafkaError
from pydantic import ValidationError
from rich.console import Console

from ledger.adapters.postgres.connection import TRANSIENT
from ledger.application.faults import TransientFaultError
from ledger.config import Settings, environment_name
from streams.embedded.errors import EmbeddedError
from streams.settings import ADDRESSES
from streams.transport.errors import PublishError

DONE = 0
FOUND_WRONG = 1
USED_WRONGLY = 2
SERVICE_AWAY = 3

_POSTGRES_AWAY = (
    *TRANSIENT,
    TransientFaultError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.UndefinedTableError,
    asyncpg.InvalidParameterValueError,
    OverflowError,  # a port that is none
)
_AWAY = (EmbeddedError, PublishError, KafkaError, *_POSTGRES_AWAY)


@contextmanager
def told_faults() -> Iterator[None]:
    """Tell a service that is away in a sentence, and exit with 3."""
    try:
        yield
    except _AWAY as error:
        complain(_sentence(error))
        raise typer.Exit(SERVICE_AWAY) from error


@contextmanager
def told_settings() -> Iterator[None]:
    """Tell each environment variable that is no valid setting in a sentence, and exit with 2."""
    try:
        yield
    except ValidationError as error:
        if error.title != Settings.__name__:
            raise
        for fault in error.errors(include_url=False):
            complain(_settings_fault(str(fault["loc"][0]), fault["input"], fault["msg"]))
        complain("`ledger doctor --settings` lists the settings with their defaults.")
        raise SystemExit(USED_WRONGLY) from error


def _settings_fault(setting: str, value: object, fault: str) -> str:
    variable, meaning = environment_name(setting), Settings.model_fields[setting].description
    if setting in ADDRESSES:
        # What is wrong may hold a password where nobody would mask it.
        return f"{variable} is not valid. It takes {meaning}."
    return f"{variable} is {value!r}: {fault[:1].lower()}{fault[1:]}. It means: {meaning}."


def _sentence(error: BaseException) -> str:
    if isinstance(error, EmbeddedError):
        return str(error)
    if isinstance(error, asyncpg.UndefinedTableError):
        return f"The books are not there: {error}\n`ledger migrate` makes them."
    kind = "Kafka" if isinstance(error, KafkaError | PublishError) else "PostgreSQL"
    return f"{kind} is away or refuses: {error}\n`ledger doctor` says what is wrong with the set-up."


def complain(sentence: str) -> None:
    """Say what is wrong, on standard error."""
    Console(stderr=True).print(sentence, highlight=False, markup=False, soft_wrap=True)


def print_json(value: Any) -> None:
    """Print one JSON document on standard output."""
    print(json.dumps(value, default=str, indent=2), flush=True)
