select a.code, b.tenant_id, b.account_id, b.asset, b.balance_id, b.made_at
from balances b join accounts a using (tenant_id, account_id)
where (b.tenant_id, b.account_id) in (select * from unnest($1::int[], $2::bigint[]))
