with lines as (
    select tenant_id, balance_id, version, amount, posted_debits, posted_credits, posted_at,
           coalesce(lag(posted_debits) over previous, 0) as debits_before,
           coalesce(lag(posted_credits) over previous, 0) as credits_before,
           lag(posted_at) over previous as posted_before
    from entries window previous as (partition by tenant_id, balance_id order by version)
)
select t.code || '/' || a.code || ' ' || b.asset || ' version ' || l.version as subject,
       concat_ws(' ', 'amount', l.amount, 'debits', l.debits_before, l.posted_debits,
                 'credits', l.credits_before, l.posted_credits, 'at', l.posted_before, l.posted_at) as detail
from lines l join tenants t using (tenant_id) join balances b using (tenant_id, balance_id)
join accounts a using (tenant_id, account_id)
where l.posted_debits - l.debits_before <> greatest(-l.amount, 0)
   or l.posted_credits - l.credits_before <> greatest(l.amount, 0)
   or l.posted_at < l.posted_before
