select p."offset", t.code as tenant, p.event_id::text as event_id
from processed_events p join tenants t using (tenant_id)
where p."partition" = $1 and p."offset" >= $2
order by p."offset"
