"""A StreamReader where no windows workers are set: the database answers everything."""

from typing import NoReturn

from ledger.application.stream_reading import BalanceOf, Cause, StreamAwayError
from ledger.domain.window import WindowSize


class NoWorkers:
    """Never answers."""

    async def balance(self, of: BalanceOf) -> NoReturn:
        raise StreamAwayError(Cause.NOT_SET_UP, "no windows workers are set")

    async def windows(self, of: BalanceOf, size: WindowSize, first: int, before: int, limit: int) -> NoReturn:
        raise StreamAwayError(Cause.NOT_SET_UP, "no windows workers are set")
