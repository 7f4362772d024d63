select p.tenant_id, p.event_id::text as event_id, p.publishes::text as publishes, p.step
from unnest($1::int[], $2::uuid[]) as k (tenant_id, event_id)
join payments p on p.event_id = k.event_id and p.tenant_id = k.tenant_id
order by p.event_id, p.tenant_id
for share of p
