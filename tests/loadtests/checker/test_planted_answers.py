"""What the API could answer wrongly, and books made anew could have otherwise, is named."""

from collections.abc import Callable
from typing import Any

import pytest

from loadtests.chaos.checker.checks import sql
from loadtests.chaos.checker.client import Client
from loadtests.chaos.checker.history import check_history
from loadtests.chaos.checker.reading import KEY_ID, Reading
from loadtests.chaos.checker.rebuild import compare_books
from loadtests.chaos.checker.report import Report
from loadtests.chaos.checker.run import connected
from loadtests.chaos.checker.tenancy import check_tenancy
from tests.loadtests.checker.stage import Stage

Lie = Callable[[str, dict[str, Any], int, Any], tuple[int, Any]]


class Liar(Client):
    """Answers as the API does, but for what it lies about."""

    def __init__(self, client: Client, lie: Lie) -> None:
        super().__init__(client._client, 0.0)
        self._lie = lie

    async def get(self, path: str, **parameters: Any) -> tuple[int, Any]:
        return self._lie(path, parameters, *await super().get(path, **parameters))


def changed(part: str, change: Callable[[Any], Any], **wanted: str) -> Lie:
    """Lie about answers under paths that hold `part`, and with these parameters."""

    def lie(path: str, parameters: dict[str, Any], status: int, body: Any) -> tuple[int, Any]:
        asked = part in f"{path}/" and all(parameters.get(name) == value for name, value in wanted.items())
        return (status, change(body)) if asked and status == 200 else (status, body)

    return lie


def shown(path: str, parameters: dict[str, Any], status: int, body: Any) -> tuple[int, Any]:
    """Say that everything is there."""
    return 200, {**body, "entries": [], "type": "x"}


def first(items: list[Any], **change: Any) -> list[Any]:
    return [{**items[0], **change}, *items[1:]] if items else items


def _held_otherwise(body: Any) -> Any:
    return {**body, "balances": first(body["balances"], held=9)} if "balances" in body else body


LIES: dict[str, Lie] = {
    "an account is read otherwise": changed("accounts/", lambda body: {**body, "overdraft": 7}),
    "a balance is read otherwise": changed("accounts/", _held_otherwise),
    "a strong read differs": changed("/balance/", lambda body: {**body, "version": 0}, consistency="strong"),
    "a cached read differs": changed("/balance/", lambda body: {**body, "balance": 1}, consistency="cached"),
    "an eventual read differs": changed(
        "/balance/", lambda body: {**body, "balance": 1}, consistency="eventual"
    ),
    "a strong read does not tell its age": changed(
        "/balance/", lambda body: {**body, "age_ms": None}, consistency="strong"
    ),
    "a statement is read otherwise": changed("/entries/", lambda body: {**body, "items": body["items"][1:]}),
    "a window differs": changed("/windows/", lambda body: {**body, "items": first(body["items"], high=-1)}),
    "a thing is read otherwise": changed("holds/", lambda body: {**body, "captured": 999_999}),
    "a trial balance is not zero": changed(
        "trial-balance/", lambda body: {**body, "items": first(body["items"], difference=1)}
    ),
    "the API shows another tenant's": shown,
}
SAMPLE = 1


@pytest.mark.parametrize("what", LIES)
async def test_a_wrong_answer_is_named(stage: Stage, what: str) -> None:
    report = Report()
    async with connected(stage.options) as connection, Client.open(stage.api, stage.key, 5.0) as client:
        row = await connection.fetchrow(sql("key_tenant"), stage.key[KEY_ID])
        reading = Reading(connection, Liar(client, LIES[what]), report, row["tenant_id"], row["code"])
        await reading.run(SAMPLE)
    assert what in {name for each in report.invariants.values() for name in each.counts}


ANEW = {
    "a balance is otherwise after a replay": "update anew.balances set posted_debits = posted_debits + 1",
    "an outcome is otherwise after a replay": "update anew.processed_events set kind = 'rejected'",
    "an entry is otherwise after a replay": "delete from anew.entries where version = 2",
    "a hold is otherwise after a replay": "update anew.holds set released = released + 1",
}


@pytest.mark.parametrize("what", ANEW)
async def test_books_that_come_out_otherwise_are_named(stage: Stage, what: str) -> None:
    report = Report()
    async with connected(stage.options) as connection:
        whole = connection.transaction()
        await whole.start()
        await connection.execute("create schema anew")
        for table in ("tenants", "accounts", "balances", "processed_events", "entries", "holds"):
            await connection.execute(
                f"create table anew.{table} as select * from {stage.options.schema}.{table}"
            )
        await compare_books(connection, report, stage.options.schema, "anew")
        assert report.ok
        await connection.execute(ANEW[what])
        await compare_books(connection, report, stage.options.schema, "anew")
        await whole.rollback()
    assert report.invariants["P"].counts.keys() == {what}


async def test_a_table_that_shows_every_tenants_rows_is_named(stage: Stage) -> None:
    report = Report()
    async with connected(stage.options) as connection:
        whole = connection.transaction()
        await whole.start()
        await connection.execute("alter table holds disable row level security")
        await check_tenancy(connection, stage.options.schema, report)
        await whole.rollback()
    assert report.invariants["T"].counts.keys() == {"the API's role sees another tenant's rows"}


async def test_a_read_of_what_never_was_is_named(stage: Stage, tmp_path: Any) -> None:
    path, report = tmp_path / "reads.jsonl", Report()
    read = (
        '{"tenant":"acme","account":"external:bank","asset":"USD/2","consistency":"cached",'
        '"version":1,"balance":123456789,"began":1,"ended":2}\n'
    )
    path.write_text(read)
    async with connected(stage.options) as connection:
        await check_history(connection, [path], report)
    assert report.invariants["R"].counts.keys() == {"a read of what the books never were"}
