-- What was posted so long ago that its id was dropped is still a transaction.
-- `offset 0`: looked up key by key, whatever the planner knows of tables that grow by thousands of rows a second.
select k.tenant, k.event_id::text as event_id, e.kind, e.reason, e.fingerprint,
       e.kind is distinct from 'posted' and x.event_id is not null as was_forgotten
from unnest($1::text[], $2::uuid[]) as k (tenant, event_id)
join tenants t on t.code = k.tenant
left join lateral (
    select * from processed_events e where e.event_id = k.event_id and e.tenant_id = t.tenant_id offset 0
) e on true
left join lateral (
    select x.event_id from transactions x where x.event_id = k.event_id and x.tenant_id = t.tenant_id offset 0
) x on true
where e.event_id is not null or x.event_id is not null
