select p.event_id::text as id, p.type, p.kind, p.reason, p.detail, p.posted_at
from processed_events p where p.event_id = $2 and p.tenant_id = $1
