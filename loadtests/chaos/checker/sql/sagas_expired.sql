select t.code || '/' || h.event_id as subject, concat_ws(' ', 'open until', h.expires_at) as detail
from holds h join tenants t using (tenant_id)
where h.state = 'open' and h.expires_at < now() - interval '60 seconds'
