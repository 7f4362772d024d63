"""Webhooks: what providers tell by themselves; their signature is what lets them in."""

from typing import Annotated

from fastapi import APIRouter
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from ledger.api.access import services_of
from ledger.api.answers import answer
from ledger.api.documented import responses
from ledger.api.models import Model
from ledger.api.parameters import EmptyQuery, ProviderInPath
from ledger.api.problems import (
    BodyTooLargeError,
    BooksAwayError,
    InvalidRequestError,
    KafkaAwayError,
    NotAvailableError,
    OverloadedProblemError,
    ProblemError,
    SignatureProblemError,
)
from ledger.application.faults import LogAwayError
from ledger.application.provider_messages import MessageRefusedError
from ledger.application.receive_webhooks import UnknownSenderError
from ledger.contract.signature import SignatureRefusedError

router = APIRouter(prefix="/v1/providers", tags=["payments"])


class Taken(Model):
    """The webhook is kept; what it says is taken up in a moment."""

    id: Annotated[str, Field(description="Of the webhook.", examples=["wh_5"])]


_PROBLEMS = (
    SignatureProblemError,
    BodyTooLargeError,
    InvalidRequestError,
    ProblemError,
    KafkaAwayError,
    NotAvailableError,
    BooksAwayError,
    OverloadedProblemError,
)
_BODY = {
    "required": True,
    "description": "What became of a charge or a refund; see docs/providers.md.",
    "content": {"application/json": {"schema": {"type": "object"}}},
}


@router.post(
    "/{provider}/webhooks",
    operation_id="receiveWebhook",
    summary="Receive a webhook of a provider",
    responses=responses(Taken, *_PROBLEMS, says="It is kept. Telling it again is harmless."),
    openapi_extra={"requestBody": _BODY},
)
async def receive_webhook(request: Request, provider: ProviderInPath, query: EmptyQuery) -> Response:
    """Take what a provider tells. No key is needed: the raw body is signed, as docs/providers.md says."""
    receive = services_of(request).webhooks
    if receive is None:
        raise NotAvailableError("Webhooks are not taken here.")
    try:
        webhook = await receive(provider, request.headers, await request.body())
    except (SignatureRefusedError, UnknownSenderError) as refused:
        raise SignatureProblemError("No provider of that name signed this body just now.") from refused
    except MessageRefusedError as refused:
        raise InvalidRequestError(f"The webhook: {refused}.") from refused
    except LogAwayError as away:
        raise KafkaAwayError(f"{away}. Tell it again.", headers={"Retry-After": "2"}) from away
    return answer({"id": webhook.id})
