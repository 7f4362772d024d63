select h.event_id::text as id, h.debit, h.credit, h.asset, h.amount, h.amount_left, h.captured, h.released, h.state,
       h.placed_at, h.expires_at, h.reference
from holds h where h.event_id = $2 and h.tenant_id = $1
