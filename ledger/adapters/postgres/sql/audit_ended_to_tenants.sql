select t.code as tenant, p.event_id::text as id, substr(p.provider, 8) as target, p.credit,
       p.amount - p.fee_amount as amount, p.asset, p.reference, p.state, p.saga ->> 'charge' as charge
from payments p join tenants t using (tenant_id)
where p.provider like 'ledger:%' and p.due_at is null
