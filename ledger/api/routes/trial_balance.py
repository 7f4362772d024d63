"""The trial balance: all balances of an asset together come to zero."""

from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from ledger.api.access import Reader, services_of
from ledger.api.answers import answer
from ledger.api.documented import READING, responses
from ledger.api.models import TrialBalance
from ledger.api.parameters import TrialBalanceQuery
from ledger.application.reading import AssetTotal

router = APIRouter(prefix="/v1/trial-balance", tags=["trial balance"])


@router.get(
    "",
    operation_id="getTrialBalance",
    summary="Read the trial balance",
    responses=responses(TrialBalance, *READING, says="Totals by asset, in the order of assets."),
)
async def get_trial_balance(request: Request, caller: Reader, query: TrialBalanceQuery) -> Response:
    """Add up all balances, by asset, as of one moment: debits and credits are equal. There is one page."""
    found = await services_of(request).history.trial_balance(caller.tenant_id, query.asset)
    return answer({"items": [_total(each) for each in found], "next_cursor": None})


def _total(total: AssetTotal) -> dict[str, Any]:
    return {
        "asset": total.asset,
        "posted_debits": total.posted_debits,
        "posted_credits": total.posted_credits,
        "difference": total.posted_credits - total.posted_debits,
        "held": total.held,
        "balances": total.balances,
    }
