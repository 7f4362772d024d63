-- `offset 0`: looked up key by key, whatever the planner knows of tables that grow by thousands of rows a second.
select k.tenant_id, k.balance_id, a.code
from unnest($1::int[], $2::bigint[]) as k (tenant_id, balance_id)
cross join lateral (
    select b.account_id from balances b
    where b.tenant_id = k.tenant_id and b.balance_id = k.balance_id offset 0
) b
cross join lateral (
    select a.code from accounts a where a.tenant_id = k.tenant_id and a.account_id = b.account_id offset 0
) a
