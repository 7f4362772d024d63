select h.tenant_id, h.event_id::text as event_id, h.state, h.amount, h.captured, h.released, h.amount_left
from unnest($1::uuid[], $2::int[]) as k (event_id, tenant_id)
join holds h on h.event_id = k.event_id and h.tenant_id = k.tenant_id
