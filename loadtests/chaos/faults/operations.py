"""F30 and F31: a rebuild beside live traffic, and rows changed by hand, which have to be found."""

from random import Random
from typing import Any

import orjson

from loadtests.chaos.crew import CrewError
from loadtests.chaos.fault import Fault
from loadtests.chaos.stage import Stage

REBUILT = "rebuilt_{number}"
RECOVERED_S = 60.0
_CHANGE = "update balances set posted_credits = posted_credits + $2 where balance_id = $1"
_SOME = """
select balance_id from balances join tenants using (tenant_id)
where normal_side = 'credit' and tenants.code <> 'bank' order by balance_id
"""
"""Those of the bank are read all the while."""


async def _rebuild(stage: Stage, random: Random) -> dict[str, Any]:
    """Rebuild the books into a schema of their own while others post; both must be the same."""
    schema = REBUILT.format(number=stage.next_number())
    ran = (await stage.ledger("replay", "--into", schema, "--json", within_s=200.0)).checked()
    report = orjson.loads(ran.printed)
    await stage.sql(f'drop schema "{schema}" cascade')
    return {"schema": schema, "ok": report.get("ok")}


async def _changed_by_hand(stage: Stage, random: Random) -> dict[str, Any]:
    """Add a unit to a balance: `ledger verify` has to find it, and finds nothing once it is taken back."""
    stage.load.rest()
    try:
        await stage.until_recovered(RECOVERED_S)
        row = random.choice(await stage.sql(_SOME))["balance_id"]
        await stage.sql(_CHANGE, row, 1)
        found = await stage.ledger("verify", "--json")
        await stage.sql(_CHANGE, row, -1)
        afterwards = await stage.ledger("verify", "--json")
    finally:
        stage.load.begin()
    if found.code != 1:
        raise CrewError(f"a changed balance was not found: exit code {found.code}: {found.said[-500:]}")
    if afterwards.code:
        raise CrewError(
            f"verify ended with {afterwards.code}: {afterwards.printed[:1500]}{afterwards.said[-500:]}"
        )
    violated = [each["name"] for each in orjson.loads(found.printed)["checks"] if not each["ok"]]
    return {"balance": row, "found by": violated}


FAULTS = (
    Fault("F30", "a rebuild beside live traffic", _rebuild),
    Fault("F31", "rows changed by hand are found", _changed_by_hand),
)
