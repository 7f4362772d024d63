"""Where events came from: the record that the books first saw an id in, and its bytes while the topic has them."""

from typing import Protocol

from ledger.application.dead_letters import Place
from ledger.contract.dead_letter import Record


class Origins(Protocol):
    """The books' memory of records. May raise TransientFaultError."""

    async def place_of(self, tenant: str, event_id: str) -> Place | None:
        """Say at which record an id was first seen; None: it was not, or that was not written down."""
        ...


class RecordReader(Protocol):
    """The topics themselves."""

    async def read(self, place: Place) -> Record | None:
        """Read a record; None: its topic does not have it any more. Raises StreamAskError."""
        ...
