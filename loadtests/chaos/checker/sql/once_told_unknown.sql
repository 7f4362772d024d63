select distinct s.tenant || '/' || s.event_id as subject, concat_ws(' ', s.kind, s.reason) as detail
from told s left join tenants t on t.code = s.tenant
where not exists (select from processed_events p where p.event_id = s.event_id and p.tenant_id = t.tenant_id)
