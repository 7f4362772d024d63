"""Planted bugs of payments, of reads, and of who sees what."""

from typing import Any

from ledger.application.reading import BalanceView
from ledger.domain.payments.happenings import ChargeDeclined
from tests.planted.bug import Bug, found, replace, replaced_sql

MACHINE = "ledger.domain.payments.machine"
CACHED = "ledger.application.cached_balances"
LIVES = ("tests/domain/test_payment_paths.py", "tests/domain/test_payment_model.py")
ADVANCED = (
    "tests/application/test_advance_payments.py"
    "::test_a_worker_that_comes_back_from_the_dead_charges_nobody_twice",
)
CACHE_TESTS = ("tests/application/test_cached_balances.py",)


def another_key_for_each_try() -> None:
    replace(
        "ledger.domain.payments.saga:Saga.key",
        lambda self, step: f"{self.tenant}:{self.id}:{step}:{self.tries}",
    )


def compensation_skipped() -> None:
    settled = found("ledger.domain.payments.outcomes:settled")
    found(f"{MACHINE}:RULES")["unposted"] = settled


def unknown_is_declined() -> None:
    declined = found("ledger.domain.payments.answers:declined")

    def in_doubt(saga: Any, happening: Any, on: Any) -> Any:
        return declined(saga, ChargeDeclined("no answer"), on)

    found(f"{MACHINE}:RULES")["in_doubt"] = in_doubt


def not_found_is_believed_at_once() -> None:
    try_again = found("ledger.domain.payments.answers:try_again")
    found(f"{MACHINE}:RULES")["missing"] = lambda saga, happening, on: try_again(saga, on, "not found")


def late_charge_is_kept() -> None:
    known = found(f"{MACHINE}:_known")
    found(f"{MACHINE}:RULES")["late"] = known
    found(f"{MACHINE}:RULES")["noted"] = known


def call_before_it_is_stored() -> None:
    genuine = found("ledger.application.advance_payments:AdvancePayments._advance")

    async def advance(self: Any, payment: Any, heard: Any, place: Any) -> None:
        provider = await self._providers.find(payment.saga.tenant, payment.terms.provider)
        if provider is not None and not payment.saga.state.is_end and payment.saga.awaiting is not None:
            await found("ledger.application.advance_payments:ask")(provider, payment, payment.saga.awaiting)
        await genuine(self, payment, heard, place)

    replace("ledger.application.advance_payments:AdvancePayments._advance", advance)


def stale_read_is_cached() -> None:
    async def put(
        self: Any, balance: Any, lease: bytes, view: BalanceView, age_s: float, ttl_s: float
    ) -> bool:
        slot = found("ledger.adapters.memory.cache:_Slot")
        self._slots[balance] = slot(self._lease(), view, self._monotonic() - age_s, ttl_s)
        return True

    replace("ledger.adapters.memory.cache:MemoryCache.put", put)


def older_is_served_after_newer() -> None:
    def accept(self: Any, balance: Any, reading: Any, now: float) -> bool:
        last = found("ledger.application.served_balances:_Last")
        self._keep(balance, last(reading, now, 0))
        return True

    replace("ledger.application.served_balances:ServedBalances.accept", accept)


def tenant_stays_on_the_connection() -> None:
    async def show(self: Any, tenant_id: int) -> None:
        if self.shown_tenant_id is None:
            await self.fetchval("select set_config('ledger.tenant_id', $1, false)", str(tenant_id))
            self.shown_tenant_id = tenant_id

    replace("ledger.adapters.postgres.tenancy:TenantConnection.show", show)


def reads_as_the_worker() -> None:
    replace("ledger.adapters.postgres.tenancy:API_ROLE", "ledger_worker")


def memory_reads_every_tenant() -> None:
    def account(self: Any, tenant_id: int, code: str) -> Any:
        return next((each for (_, name), each in self._kept.accounts.items() if name == code), None)

    replace("ledger.adapters.memory.reader:_Reader._account", account)


BUGS = (
    Bug(
        "each try asks the provider under another key",
        another_key_for_each_try,
        ("tests/domain/test_payment_paths.py::test_every_try_at_a_step_has_the_same_key",),
    ),
    Bug("a charge that cannot be captured is not given back", compensation_skipped, LIVES),
    Bug("an answer that nobody knows is taken for a decline", unknown_is_declined, LIVES),
    Bug("a provider that has not seen a charge yet is believed", not_found_is_believed_at_once, LIVES),
    Bug("a charge that comes too late is kept", late_charge_is_kept, LIVES),
    Bug("a provider is called before that is stored", call_before_it_is_stored, ADVANCED),
    Bug(
        "a stale read is written to the cache",
        stale_read_is_cached,
        ("tests/ports/test_balance_cache.py::test_a_reading_begun_before_a_change_is_not_put[memory]",),
    ),
    Bug("an older balance is served after a newer one", older_is_served_after_newer, CACHE_TESTS),
    Bug(
        "a connection goes on showing the tenant before",
        tenant_stays_on_the_connection,
        ("tests/ports/test_tenancy.py",),
    ),
    Bug("reads pass row-level security by", reads_as_the_worker, ("tests/ports/test_tenancy.py",)),
    Bug(
        "a statement that locks holds has no filter for the tenant",
        replaced_sql("lock_holds", "h.tenant_id = k.tenant_id and ", ""),
        ("tests/ports/test_same_ids.py",),
    ),
    Bug("an account is read whosever it is", memory_reads_every_tenant, ("tests/api/test_access.py",)),
)
