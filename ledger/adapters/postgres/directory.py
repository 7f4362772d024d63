"""What a worker may remember of the books between batches: tenants, and the rows of balances."""

from collections.abc import Iterable, Mapping
from time import monotonic
from typing import Any

import msgspec

from ledger.adapters.postgres.statements import sql
from ledger.adapters.postgres.times import sent
from ledger.adapters.postgres.types import Connection, Pool
from ledger.domain.account import Account, BalanceKey, NormalSide

TENANT_SETTINGS_TTL_S = 10.0
MAKING_TIMEOUT_S = 5.0


class Tenant(msgspec.Struct, frozen=True):
    id: int
    code: str
    auto_open: bool


class BalanceRow(msgspec.Struct, frozen=True, gc=False):
    """Where a balance is kept, and the settings of its account that never change."""

    balance_id: int
    account_id: int
    normal_side: NormalSide
    overdraft: int | None
    made_at: int
    """As in times.py; tells it from another row of its number, for restored books give theirs anew."""

    @classmethod
    def read(cls, row: Any, normal_side: NormalSide, overdraft: int | None) -> "BalanceRow":
        """Read where a balance is kept from a row that tells it, beside the settings of its account."""
        return cls(row["balance_id"], row["account_id"], normal_side, overdraft, sent(row["made_at"]))

    def account(self, tenant: str, code: str) -> Account:
        """Give the account, as one that is not closed."""
        return Account(tenant, code, self.normal_side, self.overdraft, stands=True, row=self.account_id)


class Directory:
    """Remembers rows of at most `remember` balances."""

    def __init__(self, pool: Pool, *, auto_open: bool, remember: int) -> None:
        self._pool = pool
        self._auto_open = auto_open
        self._remember = remember
        self._rows: dict[BalanceKey, BalanceRow] = {}
        self._tenants: dict[str, Tenant] = {}
        self._expires_at = 0.0

    async def tenants(self, connection: Connection, codes: Iterable[str]) -> dict[str, Tenant]:
        """Find tenants by code. Unknown ones are made, and stay made whatever becomes of the batch."""
        if monotonic() > self._expires_at:
            self._tenants = {}
            self._expires_at = monotonic() + TENANT_SETTINGS_TTL_S
        known = self._tenants
        missing = sorted(set(codes) - known.keys())
        if missing:
            found = await _find_tenants(connection, missing)
            known.update(found if len(found) == len(missing) else await self._make(missing))
        return {code: known[code] for code in codes}

    async def _make(self, codes: list[str]) -> dict[str, Tenant]:
        # On a connection of its own: a batch that is rolled back must not take a remembered tenant with it. It
        # waits only so long, for every other connection may be held by a batch that waits for one as well.
        async with self._pool.acquire(timeout=MAKING_TIMEOUT_S) as connection:
            await connection.execute(sql("insert_tenants"), codes, self._auto_open)
            return await _find_tenants(connection, codes)

    def rows(self, keys: Iterable[BalanceKey]) -> dict[BalanceKey, BalanceRow]:
        """Give those rows that are remembered."""
        known = self._rows.get
        return {key: row for key in keys if (row := known(key)) is not None}

    def learn(self, key: BalanceKey, row: BalanceRow) -> None:
        """Remember a row; when full, forget the half that was learnt first."""
        if len(self._rows) >= self._remember:
            for old in list(self._rows)[: self._remember // 2 + 1]:
                del self._rows[old]
        if self._remember:
            self._rows[key] = row

    def learn_all(self, rows: Mapping[BalanceKey, BalanceRow]) -> None:
        """Remember the rows that a committed batch made."""
        for key, row in rows.items():
            self.learn(key, row)

    def forget(self) -> None:
        """Start anew: the books are not those that were remembered."""
        self._rows.clear()
        self._tenants = {}


async def _find_tenants(connection: Connection, codes: list[str]) -> dict[str, Tenant]:
    found = await connection.fetch(sql("find_tenants"), codes)
    return {row["code"]: Tenant(row["tenant_id"], row["code"], row["auto_open"]) for row in found}


def json_text(value: Any) -> str | None:
    """Write what a jsonb column takes; numbers of any size stay as they came."""
    return None if value is None else msgspec.json.encode(value).decode()
