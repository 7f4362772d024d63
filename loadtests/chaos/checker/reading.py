"""What the API answers against what the tables say: accounts, balances, statements, windows, single things."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from loadtests.chaos.checker.checks import sql
from loadtests.chaos.checker.client import Client, account_path
from loadtests.chaos.checker.report import Finding, Report

SIZES = {"1m": "1 minute", "1h": "1 hour", "1d": "1 day"}
READS = {"strong": "a strong read", "cached": "a cached read", "eventual": "an eventual read"}
KEY_ID = slice(3, 19)
SAMPLE_OF_THINGS = 50
_TOTALS = ("posted_debits", "posted_credits", "held", "version", "balance")
_WINDOW = (
    "opening",
    "closing",
    "low",
    "high",
    "debits",
    "credits",
    "entries",
    "first_version",
    "last_version",
)
_OTHERS = """
select tenant_id from tenants t
where tenant_id <> $1 and exists (select from transactions x where x.tenant_id = t.tenant_id)
order by 1 limit 3
"""


class Reading:
    """One pass over the API with the key of one tenant, quiet as everything is."""

    def __init__(self, connection: Any, client: Client, report: Report, tenant_id: int, tenant: str) -> None:
        self._connection = connection
        self._client = client
        self._report = report
        self._tenant_id = tenant_id
        self._tenant = tenant
        self._windows_from_books = 0

    async def run(self, sample: int) -> None:
        """Read a sample of everything."""
        for account in await self._connection.fetch(sql("sample_accounts"), self._tenant_id, sample):
            await self._account(account)
        await self._things(self._tenant_id, mine=True)
        for row in await self._connection.fetch(_OTHERS, self._tenant_id):
            await self._things(row["tenant_id"], mine=False)
        await self._trial_balance()
        if others := self._windows_from_books:
            # The tables beside themselves: that shows nothing of the stream's windows.
            self._report.note("W", f"{self._tenant}: {others:,} windows more were answered from the books")

    async def _account(self, account: Mapping[str, Any]) -> None:
        code = account["code"]
        balances = await self._connection.fetch(
            sql("sample_balances"), self._tenant_id, account["account_id"]
        )
        status, found = await self._client.get(account_path(code))
        self._report.checked("R", 1)
        wanted = {
            "normal_side": account["normal_side"],
            "overdraft": "unlimited" if account["overdraft"] is None else account["overdraft"],
        }
        self._compare("R", "an account is read otherwise", code, wanted, _only(found, wanted), status)
        told = {each["asset"]: each for each in found.get("balances", ())} if status == 200 else {}
        if told.keys() != {row["asset"] for row in balances}:
            self._find("R", "an account is read otherwise", code, f"assets {sorted(told)}")
        for row in balances:
            wanted = _only(row, _TOTALS)
            name = f"{code} {row['asset']}"
            self._compare(
                "R", "a balance is read otherwise", name, wanted, _only(told.get(row["asset"], {}), wanted)
            )
            await self._balance(code, row)
            await self._statement(code, row)
            await self._windows(code, row)

    async def _balance(self, code: str, row: Mapping[str, Any]) -> None:
        path = account_path(code, "/balance")
        for consistency, read in READS.items():
            names = [name for name in _TOTALS if consistency != "eventual" or name != "held"]
            wanted = _only(row, names)
            if consistency == "strong":
                status, found = await self._client.get(path, asset=row["asset"], consistency=consistency)
            else:
                status, found = await self._client.until(
                    wanted, path, asset=row["asset"], consistency=consistency
                )
            self._report.checked("R", 1)
            name = f"{code} {row['asset']}"
            self._compare("R", f"{read} differs", name, wanted, _only(found, wanted), status)
            if status == 200 and not (isinstance(found.get("age_ms"), int) and found["age_ms"] >= 0):
                self._find("R", f"{read} does not tell its age", name, str(found.get("age_ms")))

    async def _statement(self, code: str, row: Mapping[str, Any]) -> None:
        rows = await self._connection.fetch(sql("sample_entries"), self._tenant_id, row["balance_id"])
        status, found = await self._client.get(account_path(code, "/entries"), asset=row["asset"], limit=200)
        items = found.get("items", ()) if status == 200 else ()
        names = ("version", "transaction", "amount", "posted_debits", "posted_credits")
        self._report.checked("R", len(rows))
        told = [tuple(item[name] for name in names) for item in items]
        if told != [tuple(each[name] for name in names) for each in rows]:
            detail = f"status {status}, {len(told)} entries instead of {len(rows)}"
            self._find("R", "a statement is read otherwise", f"{code} {row['asset']}", detail)

    async def _windows(self, code: str, row: Mapping[str, Any]) -> None:
        for size, step in SIZES.items():
            rows = await self._connection.fetch(
                sql("sample_windows").replace("$3::interval", f"interval '{step}'"),
                self._tenant_id,
                row["balance_id"],
            )
            if rows:
                await self._windows_of(f"{code} {row['asset']} {size}", code, row["asset"], size, rows)

    async def _windows_of(self, name: str, code: str, asset: str, size: str, rows: list[Any]) -> None:
        first = min(row["start"] for row in rows).isoformat().replace("+00:00", "Z")
        parameters = {"asset": asset, "size": size, "from": first, "limit": 500}
        status, found = await self._client.get(account_path(code, "/windows"), **parameters)
        items = found.get("items", ()) if status == 200 else ()
        told = {datetime.fromisoformat(item["start"]): item for item in items}
        from_stream = sum(item["source"] == "stream" for item in items)
        self._windows_from_books += len(items) - from_stream
        self._report.checked("W", from_stream)
        wanted = {row["start"]: row for row in rows}
        for start in sorted(told.keys() | wanted.keys()):
            pair = (_only(wanted.get(start, {}), _WINDOW), _only(told.get(start, {}), _WINDOW))
            self._compare("W", "a window differs", f"{name} {start.isoformat()}", *pair)
        if status != 200:
            self._find("W", "windows cannot be read", name, f"status {status}")

    async def _things(self, tenant_id: int, *, mine: bool) -> None:
        """Read single transactions, holds, payments, events; those of another tenant must not be there."""
        things = await self._connection.fetch(sql("sample_things"), tenant_id, SAMPLE_OF_THINGS)
        for row in things:
            status, found = await self._client.get(f"{row['route']}/{row['id']}")
            name = f"{row['route']} {row['id']}"
            if not mine:
                self._report.checked("T", 1)
                if status != 404:
                    self._find("T", "the API shows another tenant's", name, f"status {status}")
                continue
            self._report.checked("R", 1)
            wanted = await self._connection.fetchval(sql(f"thing_{row['route']}"), tenant_id, row["id"])
            told = _TOLD[row["route"]](found) if status == 200 else f"status {status}"
            if told != wanted:
                self._find("R", "a thing is read otherwise", name, f"{told} and is {wanted}")

    async def _trial_balance(self) -> None:
        status, found = await self._client.get("trial-balance")
        items = found.get("items", ()) if status == 200 else ()
        self._report.checked("R", len(items))
        for item in items:
            if item["difference"]:
                self._find("R", "a trial balance is not zero", item["asset"], str(item["difference"]))
        if status != 200:
            self._find("R", "a trial balance cannot be read", self._tenant, f"status {status}")

    def _compare(
        self,
        invariant: str,
        what: str,
        name: str,
        wanted: Mapping[str, Any],
        found: Mapping[str, Any],
        status: int = 200,
    ) -> None:
        if status != 200 or wanted != found:
            self._find(invariant, what, name, f"status {status}: {dict(found)} and is {dict(wanted)}")

    def _find(self, invariant: str, what: str, name: str, detail: str) -> None:
        self._report.add([Finding(invariant, what, f"{self._tenant}/{name}", detail)])


def _only(row: Any, names: Any) -> dict[str, Any]:
    return {name: row[name] for name in names if name in row}


def _transaction(found: Mapping[str, Any]) -> str:
    lines = (
        " ".join(str(line[name]) for name in ("account", "asset", "amount", "version"))
        for line in found["entries"]
    )
    return " ".join(_present([found["type"], found.get("reverses"), found.get("captures"), ", ".join(lines)]))


def _present(values: list[Any]) -> Iterator[str]:
    return (str(value) for value in values if value is not None)


def _words(*names: str) -> Any:
    return lambda found: " ".join(_present([found.get(name) for name in names]))


_TOLD: Mapping[str, Any] = {
    "transactions": _transaction,
    "holds": _words("debit", "credit", "asset", "amount", "captured", "released", "left", "state"),
    "payments": _words("state", "debit", "credit", "amount", "asset", "provider"),
    "events": _words("event_type", "status", "reason"),
}


async def check_reads(
    connection: Any, url: str, key: str, sample: int, wait_s: float, report: Report
) -> None:
    """Read through the API with the key of one tenant, and compare."""
    row = await connection.fetchrow(sql("key_tenant"), key[KEY_ID])
    if row is None:
        report.add([Finding("R", "the key is not in the books", key[KEY_ID])])
        return
    async with Client.open(url, key, wait_s) as client:
        await Reading(connection, client, report, row["tenant_id"], row["code"]).run(sample)
