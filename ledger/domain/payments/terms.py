"""The terms of a payment: what was asked for."""

import msgspec


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for; never changed. Amounts in minor units."""

    debit: str
    credit: str
    amount: int
    asset: str
    provider: str
    fee_account: str | None = None
    fee_amount: int = 0
    reference: str | None = None
