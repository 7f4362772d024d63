-- What came out otherwise than it was claimed: not as posted, or not at the time of its transaction.
update processed_events p
set kind = k.kind, reason = k.reason, detail = k.detail, posted_at = k.at
from unnest($1::uuid[], $2::int[], $3::text[], $4::text[], $5::text[], $6::timestamptz[])
    as k (event_id, tenant_id, kind, reason, detail, at)
where p.event_id = k.event_id and p.tenant_id = k.tenant_id
