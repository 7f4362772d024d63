-- Windows of a balance, hopping from one that holds entries to the next: each hop is a binary search over versions,
-- so a page costs the same however long the time is that it is asked of, and only windows that are shown are added up.
with recursive found as materialized (
    select b.tenant_id, b.balance_id, b.normal_side
    from accounts a join balances b using (tenant_id, account_id)
    where a.tenant_id = $1 and a.code = $2 and b.asset = $3
), hops (number, start, first_version, last_version) as (
    select 0, null::bigint, null::bigint,
           version_at(tenant_id, balance_id, to_timestamp($5::bigint) - interval '1 microsecond')
    from found
    union all
    select h.number + 1, s.start, h.last_version + 1,
           version_at(f.tenant_id, f.balance_id, to_timestamp(s.start + $4::bigint) - interval '1 microsecond')
    from hops h cross join found f
    cross join lateral (
        select floor(extract(epoch from e.posted_at))::bigint as seconds
        from entries e
        where e.tenant_id = f.tenant_id and e.balance_id = f.balance_id and e.version = h.last_version + 1
        offset 0
    ) e
    cross join lateral (select e.seconds - e.seconds % $4) s (start)
    where h.number < $7::int and s.start < $6::bigint
)
select h.start, f.normal_side, h.first_version, h.last_version,
       o.opening_debits, o.opening_credits, c.closing_debits, c.closing_credits, x.net_min, x.net_max,
       c.last_posted_at
from hops h cross join found f
cross join lateral (
    select e.posted_debits - greatest(0, -e.amount) as opening_debits,
           e.posted_credits - greatest(0, e.amount) as opening_credits
    from entries e
    where e.tenant_id = f.tenant_id and e.balance_id = f.balance_id and e.version = h.first_version
    offset 0
) o
cross join lateral (
    select e.posted_debits as closing_debits, e.posted_credits as closing_credits, e.posted_at as last_posted_at
    from entries e
    where e.tenant_id = f.tenant_id and e.balance_id = f.balance_id and e.version = h.last_version
    offset 0
) c
cross join lateral (
    select min(e.posted_credits - e.posted_debits) as net_min, max(e.posted_credits - e.posted_debits) as net_max
    from entries e
    where e.tenant_id = f.tenant_id and e.balance_id = f.balance_id
      and e.version between h.first_version and h.last_version
    offset 0
) x
where h.number > 0
order by h.number
