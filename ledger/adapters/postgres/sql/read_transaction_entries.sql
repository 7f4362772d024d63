-- `offset 0`: looked up key by key, whatever the planner knows of tables that grow by thousands of rows a second.
select a.code, a.normal_side, e.asset, e.amount, e.version, e.posted_debits, e.posted_credits, e.posted_at
from entries e
cross join lateral (
    select b.account_id from balances b where b.tenant_id = e.tenant_id and b.balance_id = e.balance_id offset 0
) b
cross join lateral (
    select a.code, a.normal_side from accounts a
    where a.tenant_id = e.tenant_id and a.account_id = b.account_id offset 0
) a
where e.event_id = $2 and e.tenant_id = $1
order by e.line
