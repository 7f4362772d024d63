select t.code || '/' || x.event_id as subject, 'posted at ' || x.posted_at as detail
from transactions x join tenants t using (tenant_id)
where not exists (select from chain_links c where c.event_id = x.event_id and c.tenant_id = x.tenant_id)
