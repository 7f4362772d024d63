-- Worked out by sorting and grouping all entries of the balance by the start of their window.
with lines as (
    select e.*, date_bin($3::interval, e.posted_at, timestamptz '2000-01-01 00:00:00+00') as start,
           case when b.normal_side = 'credit' then e.posted_credits - e.posted_debits
                else e.posted_debits - e.posted_credits end as balance,
           case when b.normal_side = 'credit' then e.amount else -e.amount end as moved
    from entries e join balances b using (tenant_id, balance_id)
    where e.tenant_id = $1 and e.balance_id = $2
)
select start, min(version) as first_version, max(version) as last_version, count(*) as entries,
       coalesce(-sum(amount) filter (where amount < 0), 0)::bigint as debits,
       coalesce(sum(amount) filter (where amount > 0), 0)::bigint as credits,
       min(balance) as low, max(balance) as high,
       (array_agg(balance - moved order by version))[1] as opening,
       (array_agg(balance order by version desc))[1] as closing
from lines group by start order by start desc limit 100
