select t.code || '/' || a.code || ' ' || b.asset as subject,
       concat_ws(' ', 'version', b.version, b.posted_debits, b.posted_credits, b.last_posted_at, 'and its entry',
                 e.version, e.posted_debits, e.posted_credits, e.posted_at) as detail
from balances b join tenants t using (tenant_id) join accounts a using (tenant_id, account_id)
left join entries e on e.tenant_id = b.tenant_id and e.balance_id = b.balance_id and e.version = b.version
where (b.version > 0 and (e.posted_debits, e.posted_credits, e.posted_at, e.asset)
       is distinct from (b.posted_debits, b.posted_credits, b.last_posted_at, b.asset))
   or a.normal_side <> b.normal_side or a.overdraft is distinct from b.overdraft or b.closed <> (a.closed_at is not null)
