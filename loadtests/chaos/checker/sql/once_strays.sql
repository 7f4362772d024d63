select coalesce(t.code, '?') || '/' || x.event_id as subject, coalesce(p.kind, 'no outcome') as detail
from transactions x
left join processed_events p on p.event_id = x.event_id and p.tenant_id = x.tenant_id
left join tenants t on t.tenant_id = x.tenant_id
where p.kind is distinct from 'posted'
union all
select distinct coalesce(t.code, '?') || '/' || e.event_id, 'entries without a transaction'
from entries e left join tenants t using (tenant_id)
where not exists (select from transactions x where x.event_id = e.event_id and x.tenant_id = e.tenant_id)
