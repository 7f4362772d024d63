select t.code || '/' || e.event_id as subject, e.asset || ' is off by ' || sum(e.amount) as detail
from entries e left join tenants t using (tenant_id)
group by t.code, e.tenant_id, e.event_id, e.asset having sum(e.amount) <> 0
