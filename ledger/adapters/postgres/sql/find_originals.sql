-- `offset 0`: looked up key by key, whatever the planner knows of tables that grow by thousands of rows a second.
select e.tenant_id, e.event_id::text as event_id, a.code, e.asset, e.amount
from unnest($1::int[], $2::uuid[]) as k (tenant_id, event_id)
cross join lateral (
    select * from entries e where e.event_id = k.event_id and e.tenant_id = k.tenant_id offset 0
) e
cross join lateral (
    select b.account_id from balances b where b.tenant_id = e.tenant_id and b.balance_id = e.balance_id offset 0
) b
cross join lateral (
    select a.code from accounts a where a.tenant_id = e.tenant_id and a.account_id = b.account_id offset 0
) a
order by e.event_id, e.tenant_id, e.line
