select t.code || '/' || a.code || ' ' || b.asset as subject,
       concat_ws(' ', 'credits', b.posted_credits, 'debits', b.posted_debits, 'held', b.held, 'overdraft', a.overdraft) as detail
from balances b join tenants t using (tenant_id) join accounts a using (tenant_id, account_id)
where a.overdraft is not null
  and case when a.normal_side = 'credit' then b.posted_credits::numeric - b.posted_debits
           else b.posted_debits::numeric - b.posted_credits end - b.held < -a.overdraft::numeric
