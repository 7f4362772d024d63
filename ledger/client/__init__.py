"""A client of the ledger for other programs: send events, wait for what becomes of them, read the books."""

from ledger.adapters.kafka.access import KafkaAccess
from ledger.client.answers import (
    AccountAnswer,
    AssetBalance,
    Balance,
    HoldAnswer,
    LiveBalance,
    PaymentAnswer,
    StatementLine,
    TransactionAnswer,
    Window,
)
from ledger.client.errors import (
    BusyError,
    ClientError,
    InvalidEventError,
    MissingError,
    NotAnsweredError,
    ProblemError,
    RejectedError,
    UnauthorizedError,
    UnavailableError,
    UnreadableError,
)
from ledger.client.events import (
    NewEvent,
    account_closing,
    account_opening,
    capture,
    hold,
    payment,
    reversal,
    transaction,
    transfer,
    void,
)
from ledger.client.http import HttpClient
from ledger.client.kafka import KafkaClient
from ledger.client.outcomes import Outcome
from ledger.client.sending import Sender

__all__ = [
    "AccountAnswer",
    "AssetBalance",
    "Balance",
    "BusyError",
    "ClientError",
    "HoldAnswer",
    "HttpClient",
    "InvalidEventError",
    "KafkaAccess",
    "KafkaClient",
    "LiveBalance",
    "MissingError",
    "NewEvent",
    "NotAnsweredError",
    "Outcome",
    "PaymentAnswer",
    "ProblemError",
    "RejectedError",
    "Sender",
    "StatementLine",
    "TransactionAnswer",
    "UnauthorizedError",
    "UnavailableError",
    "UnreadableError",
    "Window",
    "account_closing",
    "account_opening",
    "capture",
    "hold",
    "payment",
    "reversal",
    "transaction",
    "transfer",
    "void",
]
