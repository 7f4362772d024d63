"""Entries as the stream brings them: decoded fast, each as the window that it is alone."""

import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Literal, NamedTuple

import msgspec

from ledger.adapters.kafka.records import FetchedRecord
from ledger.domain.account import NormalSide
from ledger.domain.moments import microseconds
from ledger.domain.window import Window, window_of_entry
from streams.windows.keys import life_key

TIMES_REMEMBERED_MAX = 4096
NAMES_REMEMBERED_MAX = 200_000
INT64_MAX = 2**63 - 1

_NAME = re.compile(rb"(?P<key>[a-z0-9][a-z0-9-]{0,62}/[A-Za-z0-9_.:-]{1,128}) [A-Z][A-Z0-9]{0,16}/[0-9]{1,2}")


class Seen(NamedTuple):
    """An entry: the key of its account's life, and the window of it alone."""

    name: bytes
    window: Window


class Unreadable(NamedTuple):
    """A record that is no entry, and why."""

    offset: int
    fault: str


class _Data(msgspec.Struct, gc=False):
    account: str
    asset: str
    amount: int
    version: int
    balance: int
    posted_debits: int
    posted_credits: int
    normal_side: NormalSide
    posted_at: str


class _Event(msgspec.Struct, gc=False):
    type: Literal["entry.posted.v1"]
    tenant: str
    data: _Data


class EntryDecoder:
    """Decodes records of `ledger.entries`. A batch posts all its entries at one time, so times are remembered."""

    def __init__(self) -> None:
        self._decode = msgspec.json.Decoder(_Event).decode
        self._times: dict[str, int] = {}
        self._keys: dict[bytes, bytes] = {}

    def decode(self, records: Iterable[FetchedRecord]) -> Iterator[Seen | Unreadable]:
        """Decode each record; what is no entry comes out as Unreadable, and nothing is raised."""
        for record in records:
            try:
                yield self._seen(record)
            except (msgspec.MsgspecError, ValueError, TypeError, RecursionError) as fault:
                yield Unreadable(record.offset, f"{type(fault).__name__}: {fault}")

    def _seen(self, record: FetchedRecord) -> Seen:
        event = self._decode(record.value)
        data = event.data
        name = life_key(event.tenant, data.account, data.asset)
        # Under another key it is in a partition where nobody would look for it.
        if record.key != (self._keys.get(name) or self._read_name(name)):
            raise ValueError("its key is not tenant/account")
        _check(data)
        posted_at_us = self._times.get(data.posted_at) or self._read_time(data.posted_at)
        return Seen(
            name,
            window_of_entry(
                normal_side=data.normal_side,
                version=data.version,
                amount=data.amount,
                posted_debits=data.posted_debits,
                posted_credits=data.posted_credits,
                balance=data.balance,
                posted_at_us=posted_at_us,
            ),
        )

    def _read_name(self, name: bytes) -> bytes:
        found = _NAME.fullmatch(name)
        if found is None:
            raise ValueError("its tenant, account or asset is none")
        if len(self._keys) >= NAMES_REMEMBERED_MAX:
            self._keys.clear()
        key = self._keys[name] = found["key"]
        return key

    def _read_time(self, text: str) -> int:
        if len(self._times) >= TIMES_REMEMBERED_MAX:
            self._times.clear()
        moment = self._times[text] = microseconds(datetime.fromisoformat(text))
        return moment


def _check(data: _Data) -> None:
    """Refuse what does not belong together, or would not fit into a window."""
    net = data.posted_credits - data.posted_debits
    opening = data.posted_credits - data.amount if data.amount > 0 else data.posted_debits + data.amount
    if (
        data.version < 1
        or data.balance != (net if data.normal_side == "credit" else -net)
        or not 0 <= opening <= INT64_MAX
        or not 0 <= data.posted_debits <= INT64_MAX
        or not 0 <= data.posted_credits <= INT64_MAX
        or data.version > INT64_MAX
    ):
        raise ValueError("its version, amount, totals and balance do not belong together")
