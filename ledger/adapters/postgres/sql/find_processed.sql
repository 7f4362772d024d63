-- What was claimed by earlier transactions than this one, which has claimed the others of these ids itself.
-- `offset 0`: looked up key by key, whatever the planner knows of tables that grow by thousands of rows a second.
select p.tenant_id, p.event_id::text as event_id, p.fingerprint, p.kind, p.reason, p.detail,
       coalesce(t.posted_at, p.posted_at) as posted_at, p.topic, p."partition", p."offset",
       t.event_id is not null as has_transaction
from unnest($1::uuid[], $2::int[]) as k (event_id, tenant_id)
cross join lateral (
    select * from processed_events p
    where p.event_id = k.event_id and p.tenant_id = k.tenant_id and p.xmin <> pg_current_xact_id()::xid offset 0
) p
left join lateral (
    select t.event_id, t.posted_at from transactions t
    where t.event_id = k.event_id and t.tenant_id = k.tenant_id offset 0
) t on true
