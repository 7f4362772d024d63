select e.tenant_id, e.event_id::text as event_id, a.code, e.asset, e.amount
from unnest($1::int[], $2::uuid[]) as k (tenant_id, event_id)
join entries e on e.tenant_id = k.tenant_id and e.event_id = k.event_id
join balances b on b.tenant_id = e.tenant_id and b.balance_id = e.balance_id
join accounts a on a.tenant_id = b.tenant_id and a.account_id = b.account_id
order by e.event_id, e.tenant_id, e.line
