select t.event_id::text as id, t.type, t.posted_at, t.effective_at, t.reference, t.metadata, t.reverses::text as reverses,
       t.captures::text as captures
from transactions t where t.event_id = $2 and t.tenant_id = $1
