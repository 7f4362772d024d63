"""Refusals: values from a closed list, in the order in which the ladder of checks finds them."""

from enum import StrEnum

import msgspec


class Reason(StrEnum):
    """Why an event was refused; of those that apply, the first is given."""

    EVENT_ID_REUSED = "event_id_reused"
    EVENT_TOO_OLD = "event_too_old"
    EVENT_FROM_FUTURE = "event_from_future"
    UNBALANCED = "unbalanced"
    SAME_ACCOUNT = "same_account"
    AMOUNT_OUT_OF_RANGE = "amount_out_of_range"
    ACCOUNT_NOT_FOUND = "account_not_found"
    ACCOUNT_EXISTS_DIFFERENTLY = "account_exists_differently"
    ACCOUNT_CLOSED = "account_closed"
    ACCOUNT_NOT_EMPTY = "account_not_empty"
    TRANSACTION_NOT_FOUND = "transaction_not_found"
    ALREADY_REVERSED = "already_reversed"
    EXCEEDS_ORIGINAL = "exceeds_original"
    HOLD_NOT_FOUND = "hold_not_found"
    HOLD_CLOSED = "hold_closed"
    HOLD_EXPIRED = "hold_expired"
    EXCEEDS_HOLD = "exceeds_hold"
    UNKNOWN_PROVIDER = "unknown_provider"
    INSUFFICIENT_FUNDS = "insufficient_funds"


class Rejection(msgspec.Struct, frozen=True):
    """One refusal: its reason, and a sentence for the person who sent the event."""

    reason: Reason
    detail: str
