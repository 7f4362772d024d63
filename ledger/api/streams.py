"""What is answered where no more streams are opened."""

from ledger.api.problems import OverloadedProblemError, ProblemError, TooManyStreamsOfTenantError
from ledger.application.open_streams import TooManyStreamsError


def too_many(error: TooManyStreamsError) -> ProblemError:
    """Say whose streams are too many, and when to come back."""
    retry = {"Retry-After": "5"}
    if error.of_tenant:
        return TooManyStreamsOfTenantError("Close a stream of this tenant first.", headers=retry)
    return OverloadedProblemError("As many streams are open as may be.", headers=retry)
