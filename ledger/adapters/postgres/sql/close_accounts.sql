with closed as (
    update accounts a set closed_at = k.closed_at
    from unnest($1::int[], $2::bigint[], $3::timestamptz[]) as k (tenant_id, account_id, closed_at)
    where a.tenant_id = k.tenant_id and a.account_id = k.account_id
    returning a.tenant_id, a.account_id
)
update balances b set closed = true
from closed c where b.tenant_id = c.tenant_id and b.account_id = c.account_id
