"""A first look at a record: most are transfers, between accounts whose names were seen before.

To match the names of every record is a third of what reading it costs. Here they are read as any text, and a name that
was once found right is right. Whatever is not a transfer, or not right, is for the strict decoder, which says why.
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


def _matcher(name: Any) -> Callable[[str], bool]:
    """Give what tells whether a text has the pattern of an annotated type, as msgspec does."""
    search = re.compile(get_args(name)[1].pattern).search
    return lambda text: search(text) is not None


_events = msgspec.json.Decoder(_Event)
_is_id = _matcher(EventId)
_is_tenant = lru_cache(maxsize=1024)(_matcher(Tenant))
_is_account = lru_cache(maxsize=NAMES_REMEMBERED_MAX)(_matcher(AccountCode))


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
    are_right = (
        _is_id(event.id)
        and _is_tenant(event.tenant)
        and _is_account(found.debit)
        and _is_account(found.credit)
        and asset_fault(found.asset) is None
    )
    if not are_right:
        return None
    command = PostTransfer(
        found.debit,
        found.credit,
        found.amount,
        found.asset,
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
