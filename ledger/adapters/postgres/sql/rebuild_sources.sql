-- Every balance that ever had an entry, with what its place in the stream goes by.
select b.tenant_id, b.balance_id, t.code as tenant, a.code as account, b.asset, b.normal_side, b.last_posted_at
from balances b
join tenants t on t.tenant_id = b.tenant_id
join accounts a on a.tenant_id = b.tenant_id and a.account_id = b.account_id
where b.version > 0
