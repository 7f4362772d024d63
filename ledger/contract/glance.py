"""A first look at a record: most are transfers, between accounts whose names were seen before.

To match the names of every record is a third of what reading it costs. Here they are read as any text, and a name that
was once found right is right. It is given as the text that was found right then: the books look thousands of names up
at a time, and a text that is the very same need not be fetched from memory to be compared. Whatever is not a transfer,
or not right, is for the strict decoder, which says why.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Annotated, Any, Literal, get_args

import msgspec
from msgspec import UNSET, Meta, UnsetType

from ledger.contract.envelope import Envelope, Tenant
from ledger.domain.commands import AccountCode, Amount, EventId, Metadata, Moment, PostTransfer, Reference
from ledger.domain.money import asset_fault

_TRANSFER = b'"transfer.post.v1"'
NAMES_REMEMBERED_MAX = 2**15

# No longer than what is right may be, for what is not right is remembered as well.
_AccountText = Annotated[str, Meta(max_length=128)]


class _Transfer(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    debit: _AccountText
    credit: _AccountText
    amount: Amount
    asset: Annotated[str, Meta(max_length=20)]
    reference: Reference | UnsetType = UNSET
    effective_at: Moment | UnsetType = UNSET
    metadata: Metadata | UnsetType = UNSET


class _Event(Envelope, frozen=True, gc=False):
    id: Annotated[str, Meta(max_length=36)]
    type: Literal["transfer.post.v1"]
    tenant: Annotated[str, Meta(max_length=63)]
    data: _Transfer  # type: ignore[assignment]  # read at once


def _matcher(name: Any) -> Callable[[str], str | None]:
    """Make what gives a text back if it has the pattern of an annotated type, matched as msgspec does, or None."""
    search = re.compile(get_args(name)[1].pattern).search
    return lambda text: text if search(text) else None


def _right_asset(text: str) -> str | None:
    return text if asset_fault(text) is None else None


_events = msgspec.json.Decoder(_Event)
_id = _matcher(EventId)
_tenant = lru_cache(maxsize=1024)(_matcher(Tenant))
_account = lru_cache(maxsize=NAMES_REMEMBERED_MAX)(_matcher(AccountCode))
_asset = lru_cache(maxsize=4096)(_right_asset)


def transfer_of(value: bytes) -> tuple[Envelope, PostTransfer] | None:
    """Read a transfer that is right; None for whatever else it is, and for what takes a closer look.

    That its text and moments fit into a store is not looked at.
    """
    if not _is_plain(value):
        return None
    try:
        event = _events.decode(value)
    except (msgspec.DecodeError, RecursionError):
        return None
    found = event.data
    if not (_id(event.id) and _tenant(event.tenant)):
        return None
    debit, credit, asset = _account(found.debit), _account(found.credit), _asset(found.asset)
    if not (debit and credit and asset):
        return None
    command = PostTransfer(
        debit,
        credit,
        found.amount,
        asset,
        found.reference,
        found.effective_at,
        found.metadata,
    )
    return event, command


def _is_plain(value: bytes) -> bool:
    """Tell whether this may be a transfer, in ASCII without escapes, that gives no name twice.

    Of two, the decoder above would keep the last and look at no other; the strict one refuses a first that is wrong.
    """
    return (
        _TRANSFER in value
        and value.isascii()
        and b"\\" not in value
        and value.count(b'"id"') == value.count(b'"tenant"') == value.count(b'"asset"') == 1
        and value.count(b'"debit"') == value.count(b'"credit"') == 1
    )
