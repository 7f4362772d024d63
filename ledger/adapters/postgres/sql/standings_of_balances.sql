select t.code as tenant, a.code as account, b.asset, b.posted_debits, b.posted_credits, b.held, b.version,
       0 as entries
from balances b
join accounts a using (tenant_id, account_id)
join tenants t using (tenant_id)
order by t.code collate "C", a.code collate "C", b.asset collate "C"
