with closed as (
    update accounts set closed_at = $3
    where (tenant_id, account_id) in (select * from unnest($1::int[], $2::bigint[]))
    returning tenant_id, account_id
)
update balances b set closed = true
from closed c where b.tenant_id = c.tenant_id and b.account_id = c.account_id
