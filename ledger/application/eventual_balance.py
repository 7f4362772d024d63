"""A balance as the stream knows it, or as the database does where the stream cannot tell."""

from datetime import UTC, datetime, timedelta

import msgspec

from ledger.application.ports import Clock
from ledger.application.reading import BalanceReader, BalanceView
from ledger.application.stream_reading import (
    BalanceOf,
    Cause,
    Source,
    StreamAwayError,
    StreamBalance,
    StreamReader,
)
from ledger.domain.moments import microseconds
from ledger.domain.window import Window
from ledger.observability.signals import Signals


class EventualBalance(msgspec.Struct, frozen=True):
    """A balance, where it was read, and how old it may be."""

    view: BalanceView
    source: Source
    age_ms: int


class ReadEventualBalance:
    """Asks the stream first, and the database if the stream does not know."""

    def __init__(self, stream: StreamReader, books: BalanceReader, clock: Clock, signals: Signals) -> None:
        self._stream = stream
        self._books = books
        self._clock = clock
        self._signals = signals

    async def __call__(self, tenant_id: int, of: BalanceOf) -> EventualBalance | None:
        """Read a balance of the tenant; None: there is no such account. Raises TransientFaultError."""
        try:
            answer = await self._stream.balance(of)
        except StreamAwayError as away:
            return await self._from_books(tenant_id, of, away.cause)
        if answer.life is None:
            return await self._from_books(tenant_id, of, Cause.UNKNOWN)
        self._signals.emit("stream.answered", what="balance")
        return EventualBalance(_view(of, answer.life), "stream", self._age_ms(answer))

    async def _from_books(self, tenant_id: int, of: BalanceOf, cause: Cause) -> EventualBalance | None:
        self._signals.emit("stream.not_used", what="balance", cause=cause.value)
        view = await self._books.balance(tenant_id, of.account, of.asset)
        return None if view is None else EventualBalance(view, "database", 0)

    def _age_ms(self, answer: StreamBalance) -> int:
        return max(0, (microseconds(self._clock.now()) - answer.fresh_at_us) // 1000)


def _view(of: BalanceOf, life: Window) -> BalanceView:
    return BalanceView(
        of.account,
        of.asset,
        life.normal_side,
        life.closing_debits,
        life.closing_credits,
        None,
        life.last_version,
        datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=life.last_posted_at_us),
    )
