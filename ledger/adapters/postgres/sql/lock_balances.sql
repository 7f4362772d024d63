-- Locked in the order given, which is that of the keys for every caller, so that no two wait for each other in a
-- ring. The names come along, so that a remembered row is known to be still what it was.
-- A column of one tenant holds for all; its name is then looked up once.
select case when cardinality($1) = 1 then (select t.code from tenants t where t.tenant_id = ($1)[1])
            else (select t.code from tenants t where t.tenant_id = b.tenant_id) end as tenant,
       a.code as account, b.asset, b.tenant_id, b.balance_id, b.closed,
       b.posted_debits, b.posted_credits, b.held, b.version, b.last_posted_at
from unnest($1::int[], $2::bigint[]) as k (tenant_id, balance_id)
cross join lateral (
    select * from balances b
    where b.tenant_id = case when cardinality($1) = 1 then ($1)[1] else k.tenant_id end
        and b.balance_id = k.balance_id for update
) b
cross join lateral (
    select a.code from accounts a where a.tenant_id = b.tenant_id and a.account_id = b.account_id offset 0
) a
