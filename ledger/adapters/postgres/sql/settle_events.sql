-- What was claimed as posted and came out otherwise.
update processed_events p
set kind = k.kind, reason = k.reason, detail = k.detail
from unnest($1::uuid[], $2::int[], $3::text[], $4::text[], $5::text[]) as k (event_id, tenant_id, kind, reason, detail)
where p.event_id = k.event_id and p.tenant_id = k.tenant_id
