select h.event_id::text as id, h.debit, h.credit, h.asset, h.amount, h.amount_left, h.captured, h.released, h.state,
       h.placed_at, h.expires_at, h.reference
from holds h where h.tenant_id = $1 and h.debit = $2 and h.asset = $3 and h.state = 'open'
order by h.event_id desc limit $4
