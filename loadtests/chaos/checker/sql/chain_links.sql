select t.code as tenant, c.number, c.event_id, c.digest, c.hash, c.late
from chain_links c join tenants t using (tenant_id)
order by t.code, c.number
