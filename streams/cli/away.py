"""Tells the faults of services that are away apart from those of this program; imported when there is a fault."""

import errno
import gzip
import zlib

import asyncpg
from aiokafka.errors import KafkaError

from ledger.adapters.postgres.connection import TRANSIENT
from ledger.application.archive_ports import ObjectsAwayError
from ledger.application.faults import TransientFaultError
from streams.embedded.errors import EmbeddedError
from streams.transport.errors import PublishError

_POSTGRES_AWAY = (
    *(kind for kind in TRANSIENT if kind is not OSError),
    TransientFaultError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.UndefinedTableError,
    asyncpg.InvalidParameterValueError,
    OverflowError,  # a port that is none
)
_KAFKA_AWAY = (PublishError, KafkaError)
# What fails on this machine itself, whoever was being talked to.
_OF_THIS_MACHINE = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EMFILE, errno.ENFILE, errno.EROFS}


def file_fault(error: BaseException) -> str | None:
    """Say what is wrong with a file, if that is what the fault is about."""
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror or error}."
    is_damaged = isinstance(error, gzip.BadGzipFile | EOFError | zlib.error)
    return f"A file is cut off or damaged: {error}." if is_damaged else None


def away(error: BaseException, objects: str) -> str | None:
    """Say which service is away, if one is; `objects` names what the store of objects is."""
    if isinstance(error, EmbeddedError):
        return str(error)
    if isinstance(error, ObjectsAwayError):
        return f"The {objects} is away or refuses: {error}."
    if isinstance(error, asyncpg.UndefinedTableError):
        return f"The books are not there: {error}\n`ledger migrate` makes them."
    if isinstance(error, _KAFKA_AWAY):
        return _told("Kafka", error)
    if isinstance(error, _POSTGRES_AWAY) or _is_of_a_connection(error):
        return _told("PostgreSQL", error)
    return None


def _is_of_a_connection(error: BaseException) -> bool:
    """A connection's fault names no file, even where its socket is one."""
    return isinstance(error, OSError) and error.filename is None and error.errno not in _OF_THIS_MACHINE


def _told(service: str, error: BaseException) -> str:
    return f"{service} is away or refuses: {error}\n`ledger doctor` says what is wrong with the set-up."
