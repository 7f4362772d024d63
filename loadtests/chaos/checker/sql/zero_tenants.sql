select t.code as subject, b.asset || ' is off by ' || sum(b.posted_credits::numeric - b.posted_debits) as detail
from balances b left join tenants t using (tenant_id)
group by t.code, b.tenant_id, b.asset having sum(b.posted_credits::numeric - b.posted_debits) <> 0
