select p.tenant_id, p.event_id::text as event_id, p.fingerprint, p.kind, p.reason, p.detail,
       coalesce(t.posted_at, p.posted_at) as posted_at, p."partition", p."offset",
       t.event_id is not null as has_transaction
from unnest($1::uuid[], $2::int[]) as k (event_id, tenant_id)
join processed_events p on p.event_id = k.event_id and p.tenant_id = k.tenant_id
left join transactions t on t.event_id = p.event_id and t.tenant_id = p.tenant_id
