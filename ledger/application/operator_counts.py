"""How much waits for operators, whichever tenant's it is."""

from typing import NamedTuple, Protocol


class OperatorCounts(NamedTuple):
    """What waits."""

    letters_open: int
    payments_stuck: int
    payments_overdue: int
    """Under way, and due for more than a minute."""


class OperatorBoard(Protocol):
    """Counts it. May raise TransientFaultError."""

    async def counts(self) -> OperatorCounts:
        """Count what waits."""
        ...
