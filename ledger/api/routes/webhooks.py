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
    RateLimitedError,
    SignatureProblemError,
)
from ledger.application.faults import LogAwayError
from ledger.application.provider_messages import WEBHOOK_BYTES_MAX, MessageRefusedError
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
    RateLimitedError,
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
        raise NotAvailableError(
            "Webhooks are not taken here: without LEDGER_SEALING_KEYS, none can be believed."
        )
    address = request.client.host if request.client is not None else ""
    senders = services_of(request).senders
    if senders is not None:
        senders.admit(address)
    body = await _body(request)
    try:
        webhook = await receive(provider, request.headers, body)
    except (SignatureRefusedError, UnknownSenderError) as refused:
        if senders is not None:
            senders.refused(address)
        raise SignatureProblemError("No provider of that name signed this body just now.") from refused
    except MessageRefusedError as refused:
        raise InvalidRequestError(f"The webhook: {refused}.") from refused
    except LogAwayError as away:
        raise KafkaAwayError(f"{away}. Tell it again.", headers={"Retry-After": "2"}) from away
    return answer({"id": webhook.id})


async def _body(request: Request) -> bytes:
    """Read the body of who is not known yet: no more of it than a webhook may have."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > WEBHOOK_BYTES_MAX:
            # The rest is not read: the connection cannot be used again.
            detail = f"A webhook has at most {WEBHOOK_BYTES_MAX} bytes."
            raise BodyTooLargeError(detail, headers={"Connection": "close"})
    return bytes(body)
