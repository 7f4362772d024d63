update holds h
set amount_left = k.amount_left, captured = k.captured, released = k.released, state = k.state
from unnest($1::uuid[], $2::int[], $3::bigint[], $4::bigint[], $5::bigint[], $6::text[])
    as k (event_id, tenant_id, amount_left, captured, released, state)
where h.event_id = k.event_id and h.tenant_id = k.tenant_id
