select t.code as tenant, h.event_id::text as event_id, h.debit, h.expires_at
from holds h join tenants t using (tenant_id)
where h.state = 'open' and h.expires_at <= $1
order by h.expires_at
limit $2
