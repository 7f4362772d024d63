with lines as (
    select tenant_id, balance_id, count(*) as number,
           coalesce(sum(amount) filter (where amount > 0), 0) as credits,
           coalesce(-sum(amount) filter (where amount < 0), 0) as debits
    from entries group by tenant_id, balance_id
)
select concat_ws(' ', t.code || '/' || a.code, b.asset, case when b.balance_id is null then 'without a balance' end) as subject,
       concat_ws(' ', 'debits', b.posted_debits, 'credits', b.posted_credits, 'version', b.version,
                 'and entries', l.debits, l.credits, l.number) as detail
from balances b full join lines l using (tenant_id, balance_id)
left join tenants t using (tenant_id) left join accounts a on a.tenant_id = b.tenant_id and a.account_id = b.account_id
where (coalesce(b.posted_debits, 0), coalesce(b.posted_credits, 0), coalesce(b.version, 0))
      is distinct from (coalesce(l.debits, 0), coalesce(l.credits, 0), coalesce(l.number, 0))
