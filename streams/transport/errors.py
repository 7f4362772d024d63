"""What can go wrong in the transport, by what the caller can do about it."""


class TransportError(Exception):
    """A fault in the transport."""


class ConfigurationError(TransportError):
    """The transport was put together wrongly: mend the program."""


class FetchingEndedError(TransportError):
    """A task of the Kafka client that fetches has ended: the process that ran it has to end, too."""


class PublishError(TransportError):
    """Records could not be published before the deadline: nothing may be taken as sent; publish them again."""


class RecordTooLargeError(TransportError):
    """One record is larger than a batch may be: it can never be published. `record` is the one."""

    def __init__(self, message: str, record: object = None) -> None:
        super().__init__(message)
        self.record = record
