select t.code || '/' || p.event_id as subject,
       concat_ws(' ', p.state, 'of', p.amount, 'and its hold', h.state, h.amount, 'captured', h.captured, 'released', h.released) as detail
from payments p join tenants t using (tenant_id)
left join holds h on h.tenant_id = p.tenant_id and h.event_id = p.event_id
where (h.amount, h.debit, h.asset) is distinct from (p.amount, p.debit, p.asset)
   or (p.state = 'settled' and (h.captured, h.released) is distinct from (p.amount, 0))
   or (p.state in ('declined', 'released', 'expired', 'refunded') and (h.captured, h.released) is distinct from (0, p.amount))
