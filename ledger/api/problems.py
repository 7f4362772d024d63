"""Problem documents (RFC 9457): every error that the API answers, each with a stable code."""

from collections.abc import Mapping
from typing import Any, ClassVar

CONTENT_TYPE = "application/problem+json"


class ProblemError(Exception):
    """An error that is answered as a problem document; a class for each code."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"
    title: ClassVar[str] = "Something is wrong in the ledger itself"

    def __init__(self, detail: str, *, headers: Mapping[str, str] | None = None, **members: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.headers = dict(headers or {})
        self.members = members
        """More members of the document, such as `errors`."""

    def document(self, instance: str) -> dict[str, Any]:
        """Give the problem document for the request path `instance`."""
        return {
            "type": f"urn:ledger:problem:{self.code}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "instance": instance,
            "code": self.code,
            **self.members,
        }


class UnauthenticatedError(ProblemError):
    status, code, title = 401, "unauthenticated", "No key, or not one that is accepted"

    def __init__(self, detail: str) -> None:
        super().__init__(detail, headers={"WWW-Authenticate": 'Bearer realm="ledger"'})


class InsufficientScopeError(ProblemError):
    status, code, title = 403, "insufficient_scope", "The key may not do this"


class SignatureProblemError(ProblemError):
    status, code, title = 401, "signature_refused", "The webhook is not signed by a provider that is known"

    def __init__(self, detail: str) -> None:
        super().__init__(detail, headers={"WWW-Authenticate": "Ledger-Signature"})


class NotFoundError(ProblemError):
    status, code, title = 404, "not_found", "There is nothing at this path"


class AccountNotFoundError(ProblemError):
    status, code, title = 404, "account_not_found", "There is no such account"


class TransactionNotFoundError(ProblemError):
    status, code, title = 404, "transaction_not_found", "There is no such transaction"


class HoldNotFoundError(ProblemError):
    status, code, title = 404, "hold_not_found", "There is no such hold"


class PaymentNotFoundError(ProblemError):
    status, code, title = 404, "payment_not_found", "There is no such payment"


class EventNotFoundError(ProblemError):
    status, code, title = 404, "event_not_found", "No event of this id has been handled"


class MethodNotAllowedError(ProblemError):
    status, code, title = 405, "method_not_allowed", "This path does not take this method"


class InvalidRequestError(ProblemError):
    status, code, title = 422, "invalid_request", "The request is not what it should be"


class InvalidCursorError(ProblemError):
    status, code, title = 422, "invalid_cursor", "The cursor is none of this query"


class InvalidRangeError(ProblemError):
    status, code, title = 422, "invalid_range", "These times do not go together"


class NotAvailableError(ProblemError):
    status, code, title = 503, "not_available", "This is not served here"


class BooksAwayError(ProblemError):
    status, code, title = 503, "books_away", "The books cannot be read now"


class BooksSlowError(ProblemError):
    status, code, title = 503, "books_slow", "The books did not answer in time"


class OverloadedProblemError(ProblemError):
    status, code, title = 503, "overloaded", "More is asked than can be answered now"


class MalformedJsonError(ProblemError):
    status, code, title = 400, "malformed_json", "The body is not JSON"


class MalformedRequestError(ProblemError):
    status, code, title = (
        400,
        "malformed_request",
        "This is no request of HTTP, or one of a method that nobody knows",
    )


class WrongTenantProblemError(ProblemError):
    status, code, title = 403, "wrong_tenant", "An event names another tenant than the key's"


class BodyTooLargeError(ProblemError):
    status, code, title = 413, "body_too_large", "The body, or an event, is too large"


class UnsupportedMediaTypeError(ProblemError):
    status, code, title = 415, "unsupported_media_type", "The body is not of a type that is read here"


class InvalidEventsProblemError(ProblemError):
    status, code, title = 422, "invalid_events", "Some of what was sent are no events; nothing was accepted"


class RateLimitedError(ProblemError):
    status, code, title = 429, "rate_limited", "The tenant sends more than its quota"


class TooManyStreamsOfTenantError(ProblemError):
    status, code, title = 429, "too_many_streams", "The tenant has as many open streams as it may have"


class KafkaAwayError(ProblemError):
    status, code, title = 503, "kafka_away", "Kafka did not take the events in time"
