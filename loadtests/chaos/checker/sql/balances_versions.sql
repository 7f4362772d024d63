select t.code || '/' || a.code || ' ' || b.asset as subject,
       concat_ws(' ', count(e), 'entries from version', min(e.version), 'to', max(e.version)) as detail
from balances b join tenants t using (tenant_id) join accounts a using (tenant_id, account_id)
left join entries e using (tenant_id, balance_id)
group by t.code, a.code, b.asset, b.version
having count(e) <> b.version or coalesce(min(e.version), 1) <> 1 or coalesce(max(e.version), 0) <> b.version
