-- Every caller locks in this order, so no two can wait for each other in a ring.
select b.tenant_id, b.balance_id, b.closed, b.posted_debits, b.posted_credits, b.held, b.version, b.last_posted_at
from unnest($1::int[], $2::bigint[]) as k (tenant_id, balance_id)
join balances b on b.tenant_id = k.tenant_id and b.balance_id = k.balance_id
order by b.tenant_id, b.balance_id
for update of b
