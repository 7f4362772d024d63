"""Faults: one class for each thing that a caller can do about one."""


class TransientFaultError(Exception):
    """The books could not be reached, or would not let this batch through now; the same batch may be tried again.

    It may even have been committed: the answer was lost. Trying again is safe, because ids are claimed once.
    """


class BusyError(TransientFaultError):
    """The books are there, and have no room for this now: others may be let in meanwhile."""


class TooSlowError(BusyError):
    """The books did not answer in time: they are busy, or the batch is more than they can do in that time."""


class OverloadedError(Exception):
    """More is asked than can be answered now: it was turned away before anything was done; later it may be let in."""


class PositionGapError(Exception):
    """The books have not seen the records before this batch: they are behind the stream's own position."""

    def __init__(self, topic: str, partition: int, expected: int, first: int) -> None:
        super().__init__(
            f"the books hold {topic}/{partition} up to offset {expected}, but the stream goes on at {first}: "
            f"{first - expected} records would be skipped. `ledger gap show` tells whether the log still holds "
            "them: then `ledger gap rewind` goes back to them, else `ledger gap accept` goes on without them."
        )
        self.topic, self.partition, self.expected, self.first = topic, partition, expected, first


class LogAwayError(Exception):
    """The log of events did not take what was sent in time. Some of it may have been written: sending the same
    events again is safe, because ids are claimed once."""


class RecordRefusedError(Exception):
    """The log takes no record as large as one of these; none that large was written."""
