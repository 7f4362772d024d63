"""Books that hold much already, made by the database itself: rows as postings would have made them.

Each of n customers is funded once by the bank. Then come rounds: in round r every customer pays the same amount to
the one `1 + r mod (n − 1)` places further on, and so is paid once. Hence versions, running totals and times of every
entry are known without looking at another row, and entries are written in the order in which they would have been
posted: the indexes are as old, and the pages lie, as after as many postings. What a row must have is refused by the
same constraints and triggers as ever. `ledger verify` finds one thing only: that no such ids were ever sent.
"""

# ruff: noqa: S608 - statements are put together from constants of this file
import asyncio

from loadtests.bench.stage import Stage, tell
from loadtests.workloads import ASSET, BANK, TENANT, Ground
from loadtests.workloads.records import IDS_A_MS, round_amount

AT_ONCE = 250_000
CONNECTIONS = 2
BYTES_AN_ENTRY = 450
"""What an entry takes on disk with its share of all other rows and indexes, and of the log, generously."""

_ACCOUNTS = """
with named as (
    insert into tenants (code, auto_open) values ($1, true)
    on conflict (code) do update set auto_open = true returning tenant_id
), opened as (
    insert into accounts (tenant_id, code, normal_side, overdraft, opened_at)
    select tenant_id, case when n = -1 then $2 else $3 || n end, 'credit', case when n >= 0 then 0 end,
           to_timestamp($6::bigint / 1000.0)
    from named, generate_series(-1, $4::int - 1) n order by n
    returning tenant_id, account_id, code, overdraft, opened_at
)
insert into balances
    (tenant_id, account_id, asset, normal_side, overdraft, posted_debits, posted_credits, held, version)
select tenant_id, account_id, $5, 'credit', overdraft, 0, 0, 0, 0 from opened order by account_id
"""
_PLACES = """
create unlogged table places as
select case when a.code = $1 then -1 else substr(a.code, length($2) + 1)::int end as n, b.tenant_id, b.balance_id
from balances b join accounts a using (tenant_id, account_id) join tenants t using (tenant_id) where t.code = $3
"""
_ROUNDS = """
create unlogged table rounds as
select r, amount, coalesce(sum(amount) over (order by r rows unbounded preceding), 0)::bigint - amount as before
from unnest($1::int[], $2::bigint[]) as k (r, amount)
"""
_ID = """
(lpad(to_hex(ms), 12, '0') || '7' || substr(noise, 1, 3) || '8' || substr(noise, 4, 15))::uuid as event_id,
to_timestamp(ms / 1000.0) as at
"""
_WRITE = f"""
, moved as materialized (
    select m.*, {_ID} from (select *, md5($4::text || i) as noise, $3::bigint + i / {IDS_A_MS} as ms from chosen) m
), posted as (
    insert into transactions (event_id, tenant_id, type, posted_at, effective_at)
    select event_id, tenant_id, 'transfer.post.v1', at, at from moved order by i
), claimed as (
    insert into processed_events (event_id, tenant_id, fingerprint, type, kind)
    select event_id, tenant_id, decode(noise, 'hex'), 'transfer.post.v1', 'posted' from moved order by i
)
insert into entries (tenant_id, balance_id, version, event_id, line, asset, amount, posted_debits, posted_credits,
                     posted_at)
select m.tenant_id, l.balance_id, l.version, m.event_id, l.line, $5, l.amount, l.debits, l.credits, m.at
from moved m cross join lateral (values
    (0, debit, debit_version, -amount, debit_debits, debit_credits),
    (1, credit, credit_version, amount, credit_debits, credit_credits)
) as l (line, balance_id, version, amount, debits, credits)
order by m.i, l.line
"""
_FUND = f"""
with chosen as (
    select c.n as i, c.tenant_id, b.balance_id as debit, c.n + 1::bigint as debit_version,
           $6::bigint * (c.n + 1) as debit_debits, 0::bigint as debit_credits, c.balance_id as credit,
           1::bigint as credit_version, 0::bigint as credit_debits, $6::bigint as credit_credits, $6::bigint as amount
    from places c join places b on b.n = -1 where c.n >= $1::int and c.n < $2::int
) {_WRITE}
"""
# In a round an account pays and is paid; which of the two has the lower version goes by their places.
_PAY = f"""
with chosen as (
    select ($7::bigint * (k.r + 1) + d.n) as i, d.tenant_id, k.amount,
           d.balance_id as debit, 2 + 2 * k.r::bigint + (k.payer < d.n)::int as debit_version,
           k.before + k.amount as debit_debits,
           $6::bigint + k.before + k.amount * (k.payer < d.n)::int as debit_credits,
           c.balance_id as credit, 2 + 2 * k.r::bigint + (c.n < d.n)::int as credit_version,
           k.before + k.amount * (c.n < d.n)::int as credit_debits, $6::bigint + k.before + k.amount as credit_credits
    from (
        select r.*, n, ((n - 1 - r.r % ($7::int - 1)) % $7::int + $7::int) % $7::int as payer
        from rounds r, generate_series(0, $7::int - 1) n where r.r >= $1::int and r.r < $2::int
    ) k
    join places d on d.n = k.n
    join places c on c.n = (k.n + 1 + k.r % ($7::int - 1)) % $7::int
) {_WRITE}
"""
_BALANCES = """
update balances b
set posted_debits = s.debits, posted_credits = s.credits, version = s.version, last_posted_at = s.at
from (
    select distinct on (e.tenant_id, e.balance_id) e.tenant_id, e.balance_id, e.posted_debits as debits,
           e.posted_credits as credits, e.version, e.posted_at as at
    from places p cross join lateral (
        select * from entries e where (e.tenant_id, e.balance_id) = (p.tenant_id, p.balance_id)
        order by e.version desc limit 1
    ) e
) s
where (b.tenant_id, b.balance_id) = (s.tenant_id, s.balance_id)
"""


async def lay(stage: Stage, ground: Ground, at_ms: int) -> None:
    """Make the rows; the newest id is older than `at_ms` (milliseconds since 1970)."""
    first_ms = at_ms - 1000 - ground.accounts * (1 + ground.rounds) // IDS_A_MS
    async with stage.connection() as connection:
        await connection.execute(_ACCOUNTS, TENANT, BANK, ground.prefix, ground.accounts, ASSET, first_ms)
        await connection.execute(_PLACES, BANK, ground.prefix, TENANT)
        amounts = [round_amount(number) for number in range(ground.rounds)]
        await connection.execute(_ROUNDS, list(range(ground.rounds)), amounts)
        await connection.execute("create unique index on places (n); analyze places; analyze rounds")
        for first in range(0, ground.accounts, AT_ONCE):
            await connection.execute(_FUND, first, first + AT_ONCE, first_ms, "fund", ASSET, ground.funds)
        await _pay(stage, ground, first_ms)
        await connection.execute(_BALANCES)
        await connection.execute("drop table places, rounds")
        for table in ("accounts", "balances", "transactions", "entries", "processed_events"):
            await connection.execute(f"vacuum (analyze) {table}")
        await connection.execute("checkpoint")


async def _pay(stage: Stage, ground: Ground, first_ms: int) -> None:
    """Write the rounds, some at a time; two connections, as two workers would."""
    at_once = max(1, AT_ONCE // ground.accounts)
    begins = iter(range(0, ground.rounds, at_once))

    async def some() -> None:
        async with stage.connection() as connection:
            await connection.execute("set work_mem = '256MB'")
            for first in begins:
                last = min(ground.rounds, first + at_once)
                given = (first_ms, "pay", ASSET, ground.funds, ground.accounts)
                await connection.execute(_PAY, first, last, *given)
                tell(f"  {2 * ground.accounts * (1 + last):,} entries laid")

    await asyncio.gather(*(some() for _ in range(CONNECTIONS)))
