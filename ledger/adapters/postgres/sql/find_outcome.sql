select e.kind, e.reason, e.fingerprint
from processed_events e
where e.event_id = $2 and e.tenant_id = (select tenant_id from tenants where code = $1)
