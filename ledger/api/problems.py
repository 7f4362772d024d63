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
