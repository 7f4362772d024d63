-- Totals never go back, so the first entry of a minute has the smallest and the last the largest.
select asked.ordinal, b.normal_side, extract(epoch from m.minute)::bigint as start, m.first_version, m.last_version,
       m.opening_debits, m.opening_credits, m.closing_debits, m.closing_credits, m.net_min, m.net_max, m.last_posted_at
from unnest($1::int[], $2::bigint[]) with ordinality as asked (tenant_id, balance_id, ordinal)
join balances b using (tenant_id, balance_id)
cross join lateral (
    select date_trunc('minute', e.posted_at) as minute,
           min(e.version) as first_version, max(e.version) as last_version,
           min(e.posted_debits - greatest(0, -e.amount)) as opening_debits,
           min(e.posted_credits - greatest(0, e.amount)) as opening_credits,
           max(e.posted_debits) as closing_debits, max(e.posted_credits) as closing_credits,
           min(e.posted_credits - e.posted_debits) as net_min, max(e.posted_credits - e.posted_debits) as net_max,
           max(e.posted_at) as last_posted_at
    from entries e
    where e.tenant_id = asked.tenant_id and e.balance_id = asked.balance_id
    group by 1
    offset 0
) m
order by asked.ordinal, m.first_version
