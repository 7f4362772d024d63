-- Holds on one account and asset after an id, in the order of their ids.
select h.event_id::text as event_id, h.amount, h.amount_left, h.captured, h.released, h.state
from tenants t
join holds h on h.tenant_id = t.tenant_id
where t.code = $1 and h.debit = $2 and h.asset = $3 and ($4::uuid is null or h.event_id > $4)
order by h.event_id limit $5
