-- Read after the balances of the originals are locked: whoever reverses one of them holds those locks.
select r.tenant_id, r.event_id::text as event_id, r.reversed
from unnest($1::int[], $2::uuid[]) as k (tenant_id, event_id)
join reversals r on r.tenant_id = k.tenant_id and r.event_id = k.event_id
