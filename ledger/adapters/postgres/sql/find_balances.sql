-- Which of the wanted accounts and balances exist; settings other than `closed` never change.
-- `offset 0`: looked up key by key, whatever the planner knows of tables that grow by thousands of rows a second.
select k.tenant_id, k.code, k.asset, a.account_id, a.normal_side, a.overdraft, a.metadata,
       a.closed_at is not null as closed, b.balance_id, b.made_at
from unnest($1::int[], $2::text[], $3::text[]) as k (tenant_id, code, asset)
cross join lateral (
    select * from accounts a where a.tenant_id = k.tenant_id and a.code = k.code offset 0
) a
left join lateral (
    select b.balance_id, b.made_at from balances b
    where b.tenant_id = a.tenant_id and b.account_id = a.account_id and b.asset = k.asset offset 0
) b on true
