select p.tenant_id, p.event_id::text as event_id, p.state
from unnest($1::uuid[], $2::int[]) as k (event_id, tenant_id)
cross join lateral (
    select p.tenant_id, p.event_id, p.state from payments p
    where p.event_id = k.event_id and p.tenant_id = k.tenant_id offset 0
) p
