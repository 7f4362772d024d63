"""`ledger payments` on a payment with a long life: all of it is shown."""

import json
from collections.abc import AsyncIterator, Mapping

import pytest
from typer.testing import CliRunner, Result

from ledger.adapters.postgres.books import PostgresBooks
from ledger.adapters.postgres.connection import open_pool
from ledger.adapters.postgres.payment_reader import PostgresPaymentReader
from ledger.adapters.postgres.payments import PostgresPayments
from ledger.adapters.postgres.providers import PostgresProviders
from ledger.adapters.sealing import Seals
from ledger.application.decide_payments import LINES_AT_ONCE
from ledger.config import Settings
from migrations.run import migrate
from streams.cli import app
from tests.ports.conftest import Bench, PostgresLook
from tests.ports.payments import Office

SCHEMA = "payments_command"
LINES = 2 * LINES_AT_ONCE + 7


@pytest.fixture(scope="module")
async def payment(postgres_dsn: str) -> AsyncIterator[str]:
    """A payment with LINES lines in its timeline, and one beside it; gives how commands name the first."""
    await migrate(postgres_dsn, SCHEMA)
    pool = await open_pool(postgres_dsn, Settings(postgres_schema=SCHEMA), size=2)
    office = Office(
        Bench(PostgresBooks(pool), PostgresLook(pool)),
        PostgresPayments(pool),
        PostgresPaymentReader.of_all(pool),
        PostgresProviders(pool, Seals([]), auto_open=True),
    )
    long, _ = await office.accept("long", "short")
    await pool.execute(
        "insert into payment_steps (event_id, tenant_id, number, at, happening, verdict, state, commands, begins) "
        "select event_id, tenant_id, number, now(), 'woke_up', 'absorbed', state, '{}', false "
        f"from payments, generate_series(2, {LINES}) number where event_id = $1",
        long.saga.id,
    )
    yield f"{long.saga.tenant}/{long.saga.id}"
    await pool.close()


@pytest.fixture
def environment(postgres_dsn: str) -> Mapping[str, str]:
    return {"LEDGER_POSTGRES_DSN": postgres_dsn, "LEDGER_POSTGRES_SCHEMA": SCHEMA}


def run(environment: Mapping[str, str], *arguments: str) -> Result:
    return CliRunner().invoke(app, ["payments", *arguments], env=environment)


def test_every_line_of_a_long_timeline_is_shown(environment: Mapping[str, str], payment: str) -> None:
    shown = run(environment, "show", payment)
    assert shown.exit_code == 0, shown.output
    lines = [line.split()[0] for line in shown.stdout.splitlines() if "-> funds_held" in line]
    assert lines == [str(number) for number in range(1, LINES + 1)]
    told = json.loads(run(environment, "show", payment, "--json").stdout)
    assert [each["number"] for each in told["timeline"]] == list(range(1, LINES + 1))


def test_payments_of_a_tenant_are_listed(environment: Mapping[str, str], payment: str) -> None:
    tenant = payment.partition("/")[0]
    listed = json.loads(run(environment, "list", "--all", "--tenant", tenant, "--json").stdout)
    assert payment in [each["payment"] for each in listed["payments"]]
    assert "There are none." in run(environment, "list", "--all", "--tenant", "nobody").stdout


def test_a_payment_that_is_not_there_or_needs_nobody_is_told(
    environment: Mapping[str, str], payment: str
) -> None:
    decided = run(environment, "retry", payment, "--yes", "--why", "late")
    assert (decided.exit_code, "does not need an operator" in decided.stderr) == (1, True)
    missing = run(environment, "show", f"nobody/{payment.partition('/')[2]}")
    assert (missing.exit_code, "has no payment" in missing.stderr) == (1, True)
