-- The lanes of what is due after a place in the index, at most so many rows of it.
with page as materialized (
    select due_at, tenant_id, lane from payments
    where due_at is not null and (due_at, tenant_id, lane) > ($1::timestamptz, $2::int, $3::text) and due_at <= $4
    order by due_at, tenant_id, lane limit $5
), lanes as materialized (
    select tenant_id, lane, max(due_at) as last, count(*) as payments from page group by tenant_id, lane
)
select t.code as tenant, l.tenant_id, l.lane, l.last, l.payments from lanes l join tenants t using (tenant_id)
