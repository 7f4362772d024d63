select t.code || '/' || c.event_id as subject, 'link ' || c.number as detail
from chain_links c join tenants t using (tenant_id)
where not exists (select from transactions x where x.event_id = c.event_id and x.tenant_id = c.tenant_id)
