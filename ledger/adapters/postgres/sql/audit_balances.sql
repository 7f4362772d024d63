with summed as (
    select tenant_id, balance_id, count(*) as entries,
           coalesce(sum(-amount) filter (where amount < 0), 0) as debits,
           coalesce(sum(amount) filter (where amount > 0), 0) as credits,
           max(posted_debits) as last_debits, max(posted_credits) as last_credits
    from entries group by tenant_id, balance_id
)
select 'balance differs from the sum of its entries' as what, b.tenant_id, a.code as account, b.asset,
       b.posted_debits as debits, b.posted_credits as credits,
       s.debits::text as entries_debits, s.credits::text as entries_credits
from balances b join accounts a using (tenant_id, account_id) left join summed s using (tenant_id, balance_id)
where b.posted_debits <> coalesce(s.debits, 0) or b.posted_credits <> coalesce(s.credits, 0)
   or b.posted_debits <> coalesce(s.last_debits, 0) or b.posted_credits <> coalesce(s.last_credits, 0)
union all
select 'entries of no balance', s.tenant_id, s.balance_id::text, null, null, null, s.debits::text, s.credits::text
from summed s left join balances b using (tenant_id, balance_id) where b.balance_id is null
union all
select 'balance is below its overdraft', b.tenant_id, a.code, b.asset, b.posted_debits, b.posted_credits, b.held::text,
       b.overdraft::text
from balances b join accounts a using (tenant_id, account_id)
where a.overdraft is not null and
    case when a.normal_side = 'credit' then b.posted_credits::numeric - b.posted_debits
         else b.posted_debits::numeric - b.posted_credits end - b.held < -a.overdraft
union all
select 'balance and account differ in their settings', b.tenant_id, a.code, b.asset, null, null, null, null
from balances b join accounts a using (tenant_id, account_id)
where (b.normal_side, b.closed) is distinct from (a.normal_side, a.closed_at is not null)
   or b.overdraft is distinct from a.overdraft
union all
select 'closed account is not empty', b.tenant_id, a.code, b.asset, b.posted_debits, b.posted_credits, b.held::text, null
from balances b join accounts a using (tenant_id, account_id)
where a.closed_at is not null and (b.posted_debits <> b.posted_credits or b.held <> 0)
limit 100
