-- $1 tenant_ids, $2 balance_ids, $3 $4 $5 from when on minutes, hours and days stand, each in seconds since 1970.
-- Totals only grow, so the first and last of a window are its smallest and largest. No size: the whole life.
select s.ordinal::int - 1 as place, w.*
from unnest($1::int[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[])
    with ordinality s(tenant_id, balance_id, minutes_from, hours_from, days_from, ordinal)
cross join lateral (
    select x.size, x.second - x.second % x.seconds as start, grouping(x.size) = 1 as is_life,
        min(x.version) as first_version, max(x.version) as last_version,
        min(x.posted_debits - greatest(0, -x.amount)) as opening_debits,
        min(x.posted_credits - greatest(0, x.amount)) as opening_credits,
        max(x.posted_debits) as closing_debits, max(x.posted_credits) as closing_credits,
        min(x.posted_credits - x.posted_debits) as net_min, max(x.posted_credits - x.posted_debits) as net_max,
        max(x.posted_at) as last_posted_at
    from (
        select e.*, y.second,
            case when y.second >= s.minutes_from then '1m' when y.second >= s.hours_from then '1h'
                 when y.second >= s.days_from then '1d' end as size,
            case when y.second >= s.minutes_from then 60 when y.second >= s.hours_from then 3600
                 when y.second >= s.days_from then 86400 end as seconds
        from entries e
        cross join lateral (select floor(extract(epoch from e.posted_at))::bigint as second) y
        where e.tenant_id = s.tenant_id and e.balance_id = s.balance_id
        offset 0
    ) x
    group by grouping sets ((x.size, x.second - x.second % x.seconds), ())
    offset 0
) w
