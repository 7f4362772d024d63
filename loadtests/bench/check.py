"""Whether the books are as a workload expects them: by SQL of its own, which uses nothing of the ledger's code."""

from collections import Counter
from collections.abc import Iterator
from itertools import islice
from typing import Any

from loadtests.bench.published import check_published
from loadtests.bench.stage import Stage
from loadtests.expected import ExpectedBooks

SHOWN_MAX = 5
AT_ONCE = 50_000

_WANTED = """
create temp table wanted (tenant text, account text, asset text, debits bigint, credits bigint, held bigint,
                          version bigint, primary key (tenant, account, asset))
"""
_BALANCES = """
create temp table kept as
select t.code as tenant, a.code as account, b.asset, b.posted_debits as debits, b.posted_credits as credits, b.held,
       b.version, b.tenant_id, b.balance_id
from balances b join accounts a using (tenant_id, account_id) join tenants t using (tenant_id)
"""
_DIFFERENT = """
select count(*) over () as times, coalesce(k.tenant, w.tenant) || '/' || coalesce(k.account, w.account)
       || ' ' || coalesce(k.asset, w.asset) as what,
       concat_ws(', ', k.debits, k.credits, k.held, k.version) as found,
       concat_ws(', ', w.debits, w.credits, w.held, w.version) as wanted
from kept k full join wanted w using (tenant, account, asset)
where (coalesce(k.debits, 0), coalesce(k.credits, 0), coalesce(k.held, 0), coalesce(k.version, 0))
   is distinct from (coalesce(w.debits, 0), coalesce(w.credits, 0), coalesce(w.held, 0), coalesce(w.version, 0))
order by 2 limit $1
"""
_UNPROVEN = """
with lines as (
    select tenant_id, balance_id, count(*) as number, min(version) as first, max(version) as last,
           coalesce(sum(amount) filter (where amount > 0), 0)::bigint as credits,
           coalesce(-sum(amount) filter (where amount < 0), 0)::bigint as debits
    from entries group by tenant_id, balance_id
)
select count(*) over () as times,
       coalesce(k.tenant || '/' || k.account || ' ' || k.asset, 'no account: ' || l.balance_id) as what,
       concat_ws(', ', l.debits, l.credits, l.number, l.first, l.last) as found,
       concat_ws(', ', k.debits, k.credits, k.version, 1, k.version) as wanted
from kept k full join lines l using (tenant_id, balance_id)
where (coalesce(l.debits, 0), coalesce(l.credits, 0), coalesce(l.number, 0), coalesce(l.last, 0), coalesce(l.first, 1))
   is distinct from (coalesce(k.debits, 0), coalesce(k.credits, 0), coalesce(k.version, 0), coalesce(k.version, 0), 1)
order by 2 limit $1
"""
_UNBALANCED = """
select count(*) over () as times, event_id::text as what, sum(amount)::text as found, '0' as wanted
from entries group by tenant_id, event_id, asset having sum(amount) <> 0 limit $1
"""
_OUTCOMES = """
select case kind when 'rejected' then reason else kind end as what, count(*) from processed_events group by 1
"""
_COUNTS = {
    "transactions": "select count(*) from transactions",
    "entries": "select count(*) from entries",
    "dead letters": "select count(*) from dead_letters",
    "posted events without a transaction": """
        select count(*) from processed_events p where p.kind = 'posted' and p.type like 'trans%.post.v1'
        and not exists (select from transactions t where (t.event_id, t.tenant_id) = (p.event_id, p.tenant_id))
    """,
}


async def check(stage: Stage, expected: ExpectedBooks) -> list[str]:
    """Say how the books differ from what is expected, a line for each difference (of many, the first); none: not."""
    faults = await check_books(stage, expected)
    async with stage.connection() as connection:
        faults += await _positions(stage, connection)
        faults += await check_published(stage, connection, expected)
    return faults + await _published(stage, expected)


async def check_books(stage: Stage, expected: ExpectedBooks) -> list[str]:
    """The same of the tables alone, whoever wrote them and whatever was published."""
    async with stage.connection() as connection:
        return await check_tables(connection, expected)


async def check_tables(connection: Any, expected: ExpectedBooks) -> list[str]:
    """The same over a connection whose search path is the schema of the books."""
    await connection.execute("set work_mem = '256MB'; set jit = off")
    await _load(connection, expected)
    return [
        *await _differences(connection, "balance", _DIFFERENT, "debits, credits, held, version"),
        *await _differences(connection, "entries", _UNPROVEN, "debits, credits, number, first, last"),
        *await _differences(connection, "unbalanced transaction", _UNBALANCED, "sum"),
        *await _counted(connection, expected),
    ]


async def _load(connection: Any, expected: ExpectedBooks) -> None:
    for table in ("wanted", "kept"):
        await connection.execute(f"drop table if exists pg_temp.{table}")
    await connection.execute(_WANTED)
    rows = ((*account, *totals) for account, totals in expected.balances())
    for some in _batches(rows):
        await connection.copy_records_to_table("wanted", records=some)
    await connection.execute(_BALANCES)
    await connection.execute("analyze wanted; analyze kept")


def _batches(rows: Iterator[tuple[Any, ...]]) -> Iterator[list[tuple[Any, ...]]]:
    while some := list(islice(rows, AT_ONCE)):
        yield some


async def _differences(connection: Any, what: str, query: str, of: str) -> list[str]:
    rows = await connection.fetch(query, SHOWN_MAX)
    lines = [
        f"{what} {row['what']}: found {row['found'] or 'none'}, expected {row['wanted'] or 'none'} ({of})"
        for row in rows
    ]
    more = rows[0]["times"] - len(rows) if rows else 0
    return [*lines, *([f"{what}: {more:,} more"] if more else [])]


async def _counted(connection: Any, expected: ExpectedBooks) -> list[str]:
    found = Counter({row["what"]: row["count"] for row in await connection.fetch(_OUTCOMES)})
    wanted = Counter(expected.outcomes)
    found_counts = {name: await connection.fetchval(query) for name, query in _COUNTS.items()}
    wanted_counts = {
        "transactions": expected.transactions,
        "entries": expected.entries,
        "dead letters": expected.dead_letters,
    }
    pairs = [(f"ids with outcome {kind}", found[kind], wanted[kind]) for kind in sorted(found | wanted)]
    pairs += [(name, found_counts[name], wanted_counts.get(name, 0)) for name in _COUNTS]
    return [f"{name}: {have:,}, expected {want:,}" for name, have, want in pairs if have != want]


async def _positions(stage: Stage, connection: Any) -> list[str]:
    handled, written = await stage.handled(connection), await stage.written(stage.settings.payments_topic)
    return [] if handled == written else [f"handled {handled:,} of {written:,} records"]


async def _published(stage: Stage, expected: ExpectedBooks) -> list[str]:
    """At least one outcome for each event, and each entry, are in their topics; more may be."""
    wanted = {
        stage.settings.outcomes_topic: expected.published_outcomes,
        stage.settings.entries_topic: expected.published_entries,
        stage.settings.dead_letters_topic: expected.dead_letters,
    }
    found = await stage.ends(wanted)
    return [
        f"topic {topic} has {found[topic]:,} records, expected {least:,} or more"
        for topic, least in wanted.items()
        if found[topic] < least
    ]
