-- The entries of one account and asset after a version, with how its totals grow by them, as far as $5 of them.
select e.version, e.event_id::text as event_id, e.line, e.amount, e.posted_debits, e.posted_credits, e.posted_at
from tenants t
cross join lateral (
    select a.account_id from accounts a where a.tenant_id = t.tenant_id and a.code = $2 offset 0
) a
cross join lateral (
    select b.balance_id from balances b
    where b.tenant_id = t.tenant_id and b.account_id = a.account_id and b.asset = $3 offset 0
) b
join entries e on e.tenant_id = t.tenant_id and e.balance_id = b.balance_id
where t.code = $1 and e.version > $4
order by e.version limit $5
