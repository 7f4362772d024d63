select h.tenant_id, h.event_id::text as event_id, h.debit, h.credit, h.asset, h.amount, h.amount_left,
       h.captured, h.released, h.state, h.placed_at, h.expires_at, h.reference
from unnest($1::int[], $2::uuid[]) as k (tenant_id, event_id)
join holds h on h.tenant_id = k.tenant_id and h.event_id = k.event_id
order by h.event_id, h.tenant_id
for update of h
