-- What became of ids, and the time of the clock at which it was decided; a transaction may carry a later one.
-- `offset 0`: looked up key by key, whatever the planner knows of tables that grow by thousands of rows a second.
-- `ordinal` is the place of an id among those asked for, from 1.
select k.ordinal, p.fingerprint, p.kind, p.reason, p.detail,
       coalesce(p.posted_at, x.posted_at) as posted_at, p.topic, p."partition", p."offset"
from unnest($1::text[], $2::uuid[]) with ordinality as k (tenant, event_id, ordinal)
cross join lateral (select t.tenant_id from tenants t where t.code = k.tenant offset 0) t
cross join lateral (
    select * from processed_events p where p.event_id = k.event_id and p.tenant_id = t.tenant_id offset 0
) p
left join lateral (
    select x.posted_at from transactions x
    where p.posted_at is null and x.event_id = k.event_id and x.tenant_id = t.tenant_id offset 0
) x on true
