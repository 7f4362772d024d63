-- `offset 0`: looked up key by key, whatever the planner knows of tables that grow by thousands of rows a second.
select k.tenant, k.event_id::text as event_id, e.kind, e.reason, e.fingerprint
from unnest($1::text[], $2::uuid[]) as k (tenant, event_id)
join tenants t on t.code = k.tenant
cross join lateral (
    select * from processed_events e where e.event_id = k.event_id and e.tenant_id = t.tenant_id offset 0
) e
