"""A worker that dies at any named point of a batch leaves nothing lost and nothing doubled."""

from collections.abc import AsyncIterator

import pytest

from ledger.adapters.system import new_event_id
from tests.end_to_end.books import Books, event, id_of, transfer

PROVIDER = "insert into providers (tenant_id, name, settings) select tenant_id, 'bank', '{}' from tenants"
POINTS = ["claimed", "before_commit", "committed", "before_publish", "published"]


@pytest.fixture(scope="module")
async def books(
    kafka: str, postgres_dsn: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Books]:
    async with (
        Books.open(kafka, postgres_dsn, "crashes", tmp_path_factory.mktemp("crashes")) as books,
        books.worker(arguments=("worker", "roll-windows")),
    ):
        await books.sql("insert into tenants (code) values ('acme')")
        await books.sql(PROVIDER)
        yield books


def one_of_each(name: str) -> list[bytes]:
    """One event of every type, on accounts of their own, under one key; and one that is refused."""
    payer, payee, spare = f"{name}:payer", f"{name}:payee", f"{name}:spare"
    hold, transferred = new_event_id(), new_event_id()
    payment = {"debit": payer, "credit": payee, "amount": 9, "asset": "USD/2", "provider": "bank"}
    entries = [(payer, -30), (payee, 20), (spare, 10)]
    return [
        event("account.open.v1", {"account": payer, "overdraft": 1000}),
        transfer(payer, payee, 100, transferred),
        event(
            "transaction.post.v1",
            {"entries": [{"account": code, "asset": "USD/2", "amount": moved} for code, moved in entries]},
        ),
        event("transaction.reverse.v1", {"transaction": transferred, "amount": 40}),
        event("hold.place.v1", {"debit": payer, "credit": payee, "amount": 50, "asset": "USD/2"}, hold),
        event("hold.capture.v1", {"hold": hold, "amount": 20, "final": False}),
        event("hold.void.v1", {"hold": hold}),
        event("payment.request.v1", payment),
        transfer(payer, payee, 10_000_000),
        event("account.open.v1", {"account": f"{name}:empty"}),
        event("account.close.v1", {"account": f"{name}:empty"}),
    ]


@pytest.mark.parametrize("point", POINTS)
async def test_crash_loses_and_doubles_nothing(books: Books, point: str) -> None:
    before = await books.handled()
    events = one_of_each(point)
    await books.send(events, keys=[point.encode()] * len(events))
    async with books.worker(LEDGER_CRASH=f"{point}:1") as worker:
        assert await worker.exit_code() == 137, worker.log

    async with books.worker():
        await books.until_handled(before + len(events))
        seen = await books.until_answered({id_of(value) for value in events})
        published = await books.until_published({f"{point}:payer": 4})
        verdict = await books.verdict()

    kinds = [sorted(seen[id_of(value)]) for value in events]
    assert kinds == [["event.posted.v1"]] * 8 + [["event.rejected.v1"]] + [["event.posted.v1"]] * 2
    balances = await books.balances()
    assert [balances[f"{point}:{who}"] for who in ("payer", "payee", "spare")] == [-110, 100, 10]
    assert [entry["version"] for entry in published[f"{point}:payer"]] == [1, 2, 3, 4]
    [requests] = await books.sql("select count(*) from payments where debit = $1", f"{point}:payer")
    assert tuple(requests) == (1,)
    assert verdict.ok
    assert {check.name: check.checked for check in verdict.checks}["windows"] >= 3
