select b.tenant_id, b.balance_id, t.code as tenant, a.code as account, b.asset, b.version
from balances b join accounts a using (tenant_id, account_id) join tenants t using (tenant_id)
where b.version > 0
