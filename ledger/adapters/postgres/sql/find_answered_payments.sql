select t.code as tenant, p.event_id::text as event_id, p.publishes::text as publishes, p.step, e.fingerprint, e.kind,
       e.reason, h.state as hold, p.debit, p.credit, p.amount, p.asset, p.provider, p.fee_account, p.fee_amount,
       p.reference, p.version, p.created_at, p.saga
from (
    select g.tenant, g.event_id from unnest($1::text[], $2::uuid[]) as g (tenant, event_id)
    union
    select g.tenant, p.event_id
    from unnest($3::text[], $4::uuid[]) as g (tenant, event_id)
    join tenants t on t.code = g.tenant
    cross join lateral (
        select p.event_id from payments p where p.publishes = g.event_id and p.tenant_id = t.tenant_id offset 0
    ) p
) k
join tenants t on t.code = k.tenant
cross join lateral (
    select * from payments p where p.event_id = k.event_id and p.tenant_id = t.tenant_id offset 0
) p
cross join lateral (
    select * from processed_events e where e.event_id = p.publishes and e.tenant_id = t.tenant_id offset 0
) e
cross join lateral (
    select h.state from holds h where h.event_id = k.event_id and h.tenant_id = t.tenant_id offset 0
) h
