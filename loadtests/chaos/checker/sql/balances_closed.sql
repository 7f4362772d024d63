select t.code || '/' || a.code || ' ' || b.asset as subject,
       concat_ws(' ', b.posted_credits - b.posted_debits, 'held', b.held) as detail
from accounts a join balances b using (tenant_id, account_id) join tenants t using (tenant_id)
where a.closed_at is not null and (b.posted_credits <> b.posted_debits or b.held <> 0)
