select t.code || '/' || a.code || ' ' || e.asset || ' version ' || e.version as subject, e.event_id::text as detail
from entries e join tenants t using (tenant_id) join balances b using (tenant_id, balance_id)
join accounts a using (tenant_id, account_id)
join processed_events p on p.event_id = e.event_id and p.tenant_id = e.tenant_id and p.topic = $1
where not exists (
    select from told_entries s
    where s.transaction = e.event_id and s.line = e.line and s.tenant = t.code and s.version = e.version
)
