select t.code as tenant, p.event_id::text as event_id, p.fingerprint
from unnest($1::uuid[], $2::text[]) as k (event_id, tenant)
join tenants t on t.code = k.tenant
join processed_events p on p.event_id = k.event_id and p.tenant_id = t.tenant_id
