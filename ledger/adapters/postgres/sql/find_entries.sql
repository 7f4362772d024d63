select e.tenant_id, e.event_id::text as event_id, a.code, a.normal_side, e.asset, e.amount, e.version,
       e.posted_debits, e.posted_credits, t.effective_at
from unnest($1::uuid[], $2::int[]) as k (event_id, tenant_id)
join entries e on e.event_id = k.event_id and e.tenant_id = k.tenant_id
join transactions t on t.event_id = e.event_id and t.tenant_id = e.tenant_id
join balances b on b.tenant_id = e.tenant_id and b.balance_id = e.balance_id
join accounts a on a.tenant_id = b.tenant_id and a.account_id = b.account_id
order by e.event_id, e.tenant_id, e.line
