select t.code || '/' || h.event_id as subject,
       concat_ws(' ', h.state, h.amount, 'is captured', h.captured, 'released', h.released, 'left', h.amount_left) as detail
from holds h join tenants t using (tenant_id)
where h.amount <> h.captured::numeric + h.released + h.amount_left or least(h.captured, h.released, h.amount_left) < 0
   or (h.state = 'open') <> (h.amount_left > 0) or (h.state in ('voided', 'expired') and h.released = 0)
