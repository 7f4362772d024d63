"""The changelog of windows, read by who did not write it: the last value of each key, and what it says."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from ledger.contract.dead_letter import Record
from ledger.domain.life import Life
from ledger.domain.window import Window, WindowSize
from ledger.domain.window_audit import StoredWindows

EDITION = "edition"
"""The key of the mark that tells one making of the changelog from another."""


class BalanceName(NamedTuple):
    """A balance by the names that events use."""

    tenant: str
    account: str
    asset: str


def keep_last(values: dict[bytes, bytes], records: Sequence[Record]) -> None:
    """Keep the last value of each key; a tombstone removes it."""
    for record in records:
        if record.key is not None and record.value is None:
            values.pop(record.key, None)
        elif record.key is not None and record.value is not None:
            values[record.key] = record.value


class Changelog(NamedTuple):
    """What the last values of a changelog say."""

    balances: dict[BalanceName, StoredWindows]
    unreadable: list[bytes]
    """Keys of which nothing can be understood."""


def read_changelog(values: Mapping[bytes, bytes]) -> Changelog:
    """Read a changelog: `tenant/account asset` has a life, `tenant/account asset size start` a window.

    The mark that tells one making of the topic from another is left out.
    """
    found = Changelog({}, [])
    for key, value in values.items():
        try:
            _read_value(found.balances, key.decode(), value)
        except (ValueError, msgspec.MsgspecError):
            found.unreadable.append(key)
    return found


def _read_value(balances: dict[BalanceName, StoredWindows], key: str, value: bytes) -> None:
    if key == EDITION:
        return
    account, asset, *window = key.split(" ")
    tenant, code = account.split("/")
    each = balances.setdefault(BalanceName(tenant, code, asset), StoredWindows())
    if not window:
        each.life = msgspec.msgpack.decode(value, type=Life)
    else:
        size, start = window
        each.windows[WindowSize(size)][int(start)] = msgspec.msgpack.decode(value, type=Window)
