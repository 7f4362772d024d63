select t.code || '/' || p.event_id as subject, concat_ws(' ', p.kind, p.reason, p.type) as detail
from processed_events p join tenants t using (tenant_id)
where p.topic = $1
  and not exists (
    select from told s
    where s.event_id = p.event_id and s.tenant = t.code and s.reason is distinct from 'event_id_reused'
      and (s.kind = p.kind or p.kind = 'duplicate')
)
