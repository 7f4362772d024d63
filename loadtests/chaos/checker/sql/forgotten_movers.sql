-- Steps that sagas published and a fail-over made them forget: what was told of them tells that they were theirs.
select distinct l.tenant, p.event_id::text as id, l.event_id::text as event_id
from logged l
join told d on d.tenant = l.tenant and d.event_id = l.event_id and d.reason is distinct from 'hold_not_found'
join tenants t on t.code = l.tenant
join payments p on p.tenant_id = t.tenant_id and p.event_id::text = lower(l.value::json #>> '{data,hold}')
where l.type in ('hold.capture.v1', 'hold.void.v1') and l.source = $1
