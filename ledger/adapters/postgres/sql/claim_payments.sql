with due as (
    select event_id, tenant_id, due_at from payments
    where due_at <= $1 order by due_at limit $3 for update skip locked
)
update payments p set due_at = $2
from due join tenants t using (tenant_id)
where p.event_id = due.event_id and p.tenant_id = due.tenant_id
returning t.code as tenant, due.due_at as was_due_at, p.debit, p.credit, p.amount, p.asset, p.provider,
          p.fee_account, p.fee_amount, p.reference, p.version, p.created_at, p.saga
