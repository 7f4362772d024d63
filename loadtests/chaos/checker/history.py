"""Reads that a reader wrote down while faults went on: none went back, none was of what the books never were."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from loadtests.chaos.checker.report import Finding, Report

AT_ONCE = 10_000
_NEVER = """
select r.account || ' ' || r.asset || ' version ' || r.version as subject,
       concat_ws(' ', 'read', r.balance, 'and the books have',
                 case when a.normal_side = 'credit' then e.posted_credits - e.posted_debits
                      else e.posted_debits - e.posted_credits end) as detail
from reads r left join tenants t on t.code = r.tenant
left join accounts a on a.tenant_id = t.tenant_id and a.code = r.account
left join balances b on b.tenant_id = t.tenant_id and b.account_id = a.account_id and b.asset = r.asset
left join entries e on e.tenant_id = t.tenant_id and e.balance_id = b.balance_id and e.version = r.version
where r.version > 0 and r.balance is distinct from case when a.normal_side = 'credit'
    then e.posted_credits - e.posted_debits else e.posted_debits - e.posted_credits end
"""


class Read(NamedTuple):
    """One answered read of a balance. Times in seconds; `at_least` is a version that was known before it began."""

    tenant: str
    account: str
    asset: str
    consistency: str
    version: int
    balance: int
    began: float
    ended: float
    at_least: int = 0

    @property
    def name(self) -> str:
        return f"{self.tenant}/{self.account} {self.asset}"


def reads_of(path: Path) -> Iterator[Read]:
    """Read a file: a JSON object a line with the members of a Read; one cut short is left out."""
    with path.open("rb") as lines:
        for line in lines:
            if line.endswith(b"\n"):
                row = orjson.loads(line)
                yield Read(**{name: row[name] for name in Read._fields if name in row})


def history_findings(reads: Iterable[Read]) -> Iterator[Finding]:
    """Strong reads must see what an earlier one saw, or what was known when they began.

    An earlier one is one that had ended before; so reads are gone through by their beginnings.
    """
    ended: dict[str, list[tuple[float, int]]] = {}
    seen: dict[str, int] = {}
    for read in sorted((each for each in reads if each.consistency == "strong"), key=lambda each: each.began):
        waiting = ended.setdefault(read.name, [])
        done = [each for each in waiting if each[0] <= read.began]
        ended[read.name] = [each for each in waiting if each[0] > read.began]
        seen[read.name] = max([seen.get(read.name, 0), *(version for _, version in done)])
        ended[read.name].append((read.ended, read.version))
        if read.version < seen[read.name]:
            detail = f"version {read.version} after {seen[read.name]}"
            yield Finding("R", "a strong read went back", read.name, detail)
        elif read.version < read.at_least:
            detail = f"version {read.version}, and {read.at_least} was committed"
            yield Finding("R", "a strong read missed what was committed", read.name, detail)


async def check_history(connection: Any, files: Iterable[Path], report: Report) -> None:
    """Judge files of reads, and compare each with the entry of its version, whatever its consistency."""
    reads = [read for path in files for read in reads_of(path)]
    report.checked("R", len(reads))
    report.add(history_findings(reads))
    await connection.execute(
        "create temp table reads (tenant text, account text, asset text, version bigint, balance bigint)"
    )
    rows = {(each.tenant, each.account, each.asset, each.version, each.balance) for each in reads}
    await connection.copy_records_to_table("reads", records=list(rows))
    for row in await connection.fetch(_NEVER):
        report.add([Finding("R", "a read of what the books never were", row["subject"], row["detail"])])
