"""F30 and F31: a rebuild beside live traffic, and rows changed by hand, which have to be found."""

from datetime import UTC, datetime
from random import Random
from typing import Any

import orjson

from loadtests.chaos.crew import CrewError
from loadtests.chaos.fault import DidNotHappenError, Fault
from loadtests.chaos.posted import Span, a_while, figures, latencies
from loadtests.chaos.stage import Stage

REBUILT = "rebuilt_{number}"
RECOVERED_S = 60.0
ALONE_S = 5.0
_CHANGE = "update balances set posted_credits = posted_credits + $2 where balance_id = $1"
_SOME = """
select balance_id from balances join tenants using (tenant_id)
where normal_side = 'credit' and tenants.code <> 'bank' order by balance_id
"""
"""Those of the bank are read all the while."""


async def _rebuild(stage: Stage, random: Random) -> dict[str, Any]:
    """Rebuild the books into a schema of their own while others post; both must be the same."""
    schema = REBUILT.format(number=stage.next_number())
    alone = await latencies(stage, await a_while(stage.lasting(ALONE_S)))
    began = datetime.now(UTC)
    ran = (await stage.ledger("replay", "--into", schema, "--json", within_s=200.0)).checked()
    beside = await latencies(stage, Span(began, datetime.now(UTC)))
    live = orjson.loads(ran.printed).get("proof", {}).get("expected")
    rebuilt = "/".join([await _digest(stage, schema, view) for view in ("balances", "entries")])
    await stage.sql(f'drop schema "{schema}" cascade')
    did = {"live": live, "rebuilt": rebuilt, "posted alone": figures(alone), "beside it": figures(beside)}
    if not beside:
        raise DidNotHappenError("nothing was posted beside the rebuild", did)
    if live != rebuilt:
        raise CrewError(f"the digest of the rebuild is {rebuilt}, that of the live books {live}")
    return did


async def _digest(stage: Stage, schema: str, view: str) -> str:
    ran = (await stage.ledger("digest", schema, "--from", view, "--json")).checked()
    return str(orjson.loads(ran.printed)["digest"])


async def _changed_by_hand(stage: Stage, random: Random) -> dict[str, Any]:
    """Add a unit to a balance: `ledger verify` has to find it, and finds nothing once it is taken back."""
    stage.load.rest()
    try:
        await stage.until_recovered(RECOVERED_S)
        row = random.choice(await stage.sql(_SOME))["balance_id"]
        await stage.sql(_CHANGE, row, 1)
        try:
            found = await stage.ledger("verify", "--json")
        finally:
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
    Fault("F30", "a rebuild beside live traffic", _rebuild, reads_all=True),
    Fault("F31", "rows changed by hand are found", _changed_by_hand, reads_all=True),
)
