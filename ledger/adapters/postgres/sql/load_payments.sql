select t.code as tenant, p.event_id::text as event_id, p.debit, p.credit, p.amount, p.asset, p.provider,
       p.fee_account, p.fee_amount, p.reference, p.version, p.created_at, p.saga
from unnest($1::text[], $2::uuid[]) as k (tenant, event_id)
join tenants t on t.code = k.tenant
cross join lateral (
    select * from payments p where p.event_id = k.event_id and p.tenant_id = t.tenant_id offset 0
) p
