"""Lock what a batch needs: holds, then accounts, balances, payments, each in the order of its key."""

import asyncio
from contextlib import suppress
from typing import Any

import asyncpg
import msgspec

from ledger.adapters.postgres.directory import BalanceRow, Directory, Tenant
from ledger.adapters.postgres.locked import unpack
from ledger.adapters.postgres.statements import column, numbers, sql
from ledger.adapters.postgres.times import received
from ledger.adapters.postgres.types import Connection
from ledger.application.faults import TransientFaultError
from ledger.application.meanwhile import meanwhile
from ledger.domain.account import Account, AccountKey, Balance, BalanceKey
from ledger.domain.books import Books, EventKey, Needs
from ledger.domain.holds import Guard, Hold
from ledger.domain.payments.saga import Step
from ledger.domain.transaction import Line, Original

TURN_WAIT_S = 1.0

FIRST_LOCKED = 16
"""Of many balances so many are locked ahead of the others: batches that share most of theirs wait for each other there.

A statement looks one by one at what changed while it waited: 6,300 balances took 108 ms where it was the one that
waited, and 68 ms behind one that had.
"""

MANY = 500
"""From so many balances on, to lock them in parts is worth the trips."""

Asked = tuple[BalanceKey, BalanceRow]
"""A balance, and the row that it is said to be."""


class Turn:
    """One batch's turn to open accounts: of two at a time that open the same one, one is decided in vain."""

    def __init__(self, lock: asyncio.Lock) -> None:
        self._lock = lock
        self._taken = False

    async def take(self) -> None:
        """Wait for it, but not for long, for it only spares work; it lasts until the batch ends."""
        with suppress(TimeoutError):
            async with asyncio.timeout(TURN_WAIT_S):
                await self._lock.acquire()
                self._taken = True

    def end(self) -> None:
        """Let the next one have it."""
        if self._taken:
            self._taken = False
            self._lock.release()


class Locking:
    """One run of the locks of one batch; `run` reads as the order in which they are taken."""

    def __init__(
        self,
        connection: Connection,
        directory: Directory,
        tenants: dict[str, Tenant],
        needs: Needs,
        turn: Turn,
    ) -> None:
        self._connection = connection
        self._directory = directory
        self._tenants = tenants
        self._codes = {tenant.id: tenant.code for tenant in tenants.values()}
        self._needs = needs
        self._turn = turn
        self._wanted: set[BalanceKey] = set(needs.balances)
        """Balances whose rows are not known yet."""
        self._rows: dict[BalanceKey, BalanceRow] = {}
        self._books = Books(auto_open={code: tenant.auto_open for code, tenant in tenants.items()})

    async def run(self) -> Books:
        await self._wait_for_turn()
        await self._lock_holds()
        await self._find_originals()
        crowded = await self._find_rows()
        await self._lock_accounts(crowded)
        await self._lock_balances()
        await self._lock_payments()
        await self._find_providers()
        await self._find_reversals()
        return self._books

    async def _wait_for_turn(self) -> None:
        """Wait, with no locks but those of ids and a position, if accounts may open themselves that nobody opened."""
        self._look_up()
        unknown = [key for key in self._wanted if self._tenants[key[0]].auto_open]
        found = await self._fetch_rows(unknown) if unknown else []
        if len(found) < len(unknown):
            await self._turn.take()  # and look again: what was found may have changed meanwhile
        else:
            for row in found:
                self._learn(row)

    def _look_up(self) -> None:
        """Take the wanted rows that are remembered."""
        found = self._directory.rows(self._wanted)
        self._rows |= found
        self._wanted -= found.keys()

    async def _lock_holds(self) -> None:
        for row in await self._by_event("lock_holds", self._needs.holds):
            hold = self._hold(row)
            self._books.holds[hold.tenant, hold.id] = hold
            self._wanted.update((hold.tenant, code, hold.asset) for code in hold.accounts)

    async def _by_event(self, statement: str, keys: set[EventKey]) -> list[asyncpg.Record]:
        if not keys:
            return []
        tenants = [self._tenants[tenant].id for tenant, _ in keys]
        return await self._connection.fetch(sql(statement), tenants, [event_id for _, event_id in keys])

    def _hold(self, row: asyncpg.Record) -> Hold:
        return Hold(
            id=row["event_id"],
            tenant=self._codes[row["tenant_id"]],
            debit=row["debit"],
            credit=row["credit"],
            asset=row["asset"],
            amount=row["amount"],
            left=row["amount_left"],
            captured=row["captured"],
            released=row["released"],
            state=row["state"],
            expires_at=row["expires_at"],
            reference=row["reference"],
            placed_at=row["placed_at"],
            guard=Guard(row["fee_account"], row["fee_amount"]) if row["of_payment"] else None,
            row_exists=True,
        )

    async def _find_originals(self) -> None:
        lines: dict[EventKey, list[Line]] = {}
        for row in await self._by_event("find_originals", self._needs.originals):
            key = (self._codes[row["tenant_id"]], row["event_id"])
            lines.setdefault(key, []).append(Line(row["code"], row["asset"], row["amount"]))
            self._wanted.add((key[0], row["code"], row["asset"]))
        self._books.originals = {key: Original(found) for key, found in lines.items()}

    async def _find_rows(self) -> set[AccountKey]:
        """Find the rows of the wanted balances. Returns standing accounts that lack one: an asset new to them."""
        self._look_up()
        unknown = list(self._wanted)
        by_name = [(*key, "") for key in self._needs.accounts]
        if not unknown and not by_name:
            return set()
        standing = {self._learn(row) for row in await self._fetch_rows(unknown + by_name)}
        lacking = {key[:2] for key in unknown if key not in self._rows}
        return {key for key in standing if key in lacking or key in self._needs.closing}

    async def _fetch_rows(self, keys: list[BalanceKey]) -> list[asyncpg.Record]:
        return await self._connection.fetch(
            sql("find_balances"),
            [self._tenants[tenant].id for tenant, _, _ in keys],
            [code for _, code, _ in keys],
            [asset for _, _, asset in keys],
        )

    def _learn(self, row: asyncpg.Record) -> AccountKey:
        """Take a found account into the books, and its balance, if there is one, into the directory."""
        key = (self._codes[row["tenant_id"]], row["code"])
        metadata = row["metadata"] and msgspec.json.decode(row["metadata"])
        self._books.accounts.setdefault(
            key,
            Account(
                *key, row["normal_side"], row["overdraft"], metadata, row["closed"], True, row["account_id"]
            ),
        )
        if row["balance_id"] is not None:
            balance: BalanceKey = (*key, row["asset"])
            self._rows[balance] = BalanceRow.read(row, row["normal_side"], row["overdraft"])
            self._wanted.discard(balance)
            self._directory.learn(balance, self._rows[balance])
        return key

    async def _lock_accounts(self, keys: set[AccountKey]) -> None:
        """Lock accounts that close or take on an asset, and find every balance of those that close."""
        if not keys:
            return
        by_row = {(self._tenants[key[0]].id, self._books.accounts[key].row): key for key in keys}
        for row in await self._by_account("lock_accounts", list(by_row)):
            account = self._books.accounts[by_row[row["tenant_id"], row["account_id"]]]
            account.closed = row["closed"]
        closing = [row_key for row_key, key in by_row.items() if key in self._needs.closing]
        for row in await self._by_account("balances_of_accounts", closing):
            account = self._books.accounts[by_row[row["tenant_id"], row["account_id"]]]
            self._rows[account.tenant, account.code, row["asset"]] = BalanceRow.read(
                row, account.normal_side, account.overdraft
            )

    async def _by_account(self, statement: str, keys: list[Any]) -> list[asyncpg.Record]:
        if not keys:
            return []
        tenants, accounts = zip(*keys, strict=True)
        return await self._connection.fetch(sql(statement), tenants, accounts)

    async def _lock_balances(self) -> None:
        asked: list[Asked] = []
        locked: asyncpg.Record | None = None
        for some in _parts(self._in_order()):
            async with meanwhile(self._lock_rows(some)) as locking:
                self._take(asked, locked)
            asked, locked = some, locking.result()
        self._take(asked, locked)
        if len(self._books.balances) != len(self._rows):
            # A row was made once, and a tenant keeps its name: these are other books than those remembered.
            self._directory.forget()
            raise TransientFaultError("remembered balances are not in the books; looking them up anew")

    def _in_order(self) -> list[Asked]:
        """Give all rows in the order of their keys: tenant by tenant, number by number."""
        rows = sorted(self._rows.items(), key=lambda row: row[1].balance_id)
        if len(self._tenants) > 1:
            rows.sort(key=lambda row: self._tenants[row[0][0]].id)
        return rows

    async def _lock_rows(self, rows: list[Asked]) -> asyncpg.Record | None:
        tenants = column([self._tenants[key[0]].id for key, _ in rows])
        asked = numbers([row.balance_id for _, row in rows])
        return await self._connection.fetchrow(sql("lock_balances"), tenants, asked)

    def _take(self, asked: list[Asked], locked: asyncpg.Record | None) -> None:
        """Take what was locked into the books, up to the first row that is not the one that is remembered."""
        if locked is None or locked["tenants"] != list(dict.fromkeys([key[0] for key, _ in asked])):
            return
        accounts, balances = self._books.accounts, self._books.balances
        found = zip(asked, unpack(locked["packed"]), strict=False)
        for (key, row), (number, made_at, debited, credited, held, version, posted, closed) in found:
            if number != row.balance_id or made_at != row.made_at:
                return
            tenant, code, asset = key
            account = accounts.get((tenant, code))
            if account is None:
                account = accounts[tenant, code] = row.account(tenant, code)
            # What the lock shows is newer than what was found before it.
            account.closed = closed
            balances[key] = Balance(
                account, asset, debited, credited, held, version, received(posted), number
            )

    async def _lock_payments(self) -> None:
        """Learn what the sagas of locked holds want to be done with them; they store it before they publish it."""
        guarded = {key for key, hold in self._books.holds.items() if hold.guard is not None}
        for row in await self._by_event("lock_payments", guarded):
            hold = self._books.holds[self._codes[row["tenant_id"]], row["event_id"]]
            step = None if row["step"] is None else Step(row["step"])
            if hold.guard is not None:
                hold.guard = msgspec.structs.replace(hold.guard, event_id=row["publishes"], step=step)

    async def _find_providers(self) -> None:
        wanted = sorted((self._tenants[tenant].id, name) for tenant, name in self._needs.providers)
        if wanted:
            tenants, names = zip(*wanted, strict=True)
            found = await self._connection.fetch(sql("find_providers"), tenants, names)
            self._books.providers = {(self._codes[row["tenant_id"]], row["name"]) for row in found}

    async def _find_reversals(self) -> None:
        for row in await self._by_event("find_reversals", set(self._books.originals)):
            self._books.originals[self._codes[row["tenant_id"]], row["event_id"]].reversed = row["reversed"]


def _parts(rows: list[Asked]) -> list[list[Asked]]:
    """Part many rows: some ahead, then halves, so that one is taken into the books while the other is locked."""
    if len(rows) < MANY:
        return [rows] if rows else []
    middle = (FIRST_LOCKED + len(rows)) // 2
    return [rows[:FIRST_LOCKED], rows[FIRST_LOCKED:middle], rows[middle:]]
