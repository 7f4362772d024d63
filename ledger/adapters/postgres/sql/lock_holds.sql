-- The fee of a payment never changes; what its saga wants to be done is read under its own lock.
select h.tenant_id, h.event_id::text as event_id, h.debit, h.credit, h.asset, h.amount, h.amount_left,
       h.captured, h.released, h.state, h.placed_at, h.expires_at, h.reference,
       p.event_id is not null as of_payment, p.fee_account, p.fee_amount
from unnest($1::int[], $2::uuid[]) as k (tenant_id, event_id)
join holds h on h.tenant_id = k.tenant_id and h.event_id = k.event_id
left join lateral (
    select p.event_id, p.fee_account, p.fee_amount from payments p
    where p.event_id = k.event_id and p.tenant_id = k.tenant_id offset 0
) p on true
order by h.event_id, h.tenant_id
for update of h
