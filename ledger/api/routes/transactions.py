"""Transactions: what was posted, with its entries and what took it back."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from ledger.api.access import Reader, services_of
from ledger.api.answers import answer, entry_members
from ledger.api.documented import READING, link, responses
from ledger.api.models import TransactionAnswer
from ledger.api.parameters import EmptyQuery, TransactionInPath
from ledger.api.problems import TransactionNotFoundError

router = APIRouter(prefix="/v1/transactions", tags=["transactions"])

_LINKS = {
    "Event": link("getEvent", "The event that asked for it.", event="transaction"),
    "Account": link("getAccount", "The account of its first entry.", account="entries/0/account"),
    "Original": link("getTransaction", "What it takes back.", transaction="reverses"),
    "Hold": link("getHold", "The hold that it captures.", hold="captures"),
}


@router.get(
    "/{transaction}",
    operation_id="getTransaction",
    summary="Read a transaction",
    responses=responses(
        TransactionAnswer, *READING, TransactionNotFoundError, says="The transaction.", links=_LINKS
    ),
)
async def get_transaction(
    request: Request, transaction: TransactionInPath, caller: Reader, query: EmptyQuery
) -> Response:
    """Read a posted transaction with its entries; its id is that of the event that asked for it."""
    found = await services_of(request).history.transaction(caller.tenant_id, transaction)
    if found is None:
        raise TransactionNotFoundError(f"There is no transaction {transaction}.")
    return answer(
        {
            "transaction": found.id,
            "type": found.type,
            "posted_at": found.posted_at,
            "effective_at": found.effective_at,
            "reference": found.reference,
            "metadata": found.metadata,
            "entries": [entry_members(entry) for entry in found.entries],
            "reverses": found.reverses,
            "captures": found.captures,
            "reversed_by": found.reversed_by,
        }
    )
