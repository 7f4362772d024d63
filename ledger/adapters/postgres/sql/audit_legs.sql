-- `offset 0`: looked up key by key, whatever the planner knows of tables that grow by thousands of rows a second.
select k.ordinal, x.type, x.reference, l.accounts, l.assets, l.amounts, r.taken_back, v.reversals
from unnest($1::uuid[], $2::text[]) with ordinality as k (event_id, tenant, ordinal)
join tenants t on t.code = k.tenant
cross join lateral (
    select * from transactions x where x.event_id = k.event_id and x.tenant_id = t.tenant_id offset 0
) x
left join lateral (
    select array_agg(a.code order by e.line) as accounts, array_agg(e.asset order by e.line) as assets,
           array_agg(e.amount order by e.line) as amounts
    from (
        select * from entries e where e.event_id = k.event_id and e.tenant_id = t.tenant_id offset 0
    ) e
    cross join lateral (
        select b.account_id from balances b
        where b.tenant_id = e.tenant_id and b.balance_id = e.balance_id offset 0
    ) b
    cross join lateral (
        select a.code from accounts a where a.tenant_id = e.tenant_id and a.account_id = b.account_id offset 0
    ) a
) l on true
left join lateral (
    select r.reversed = r.size as taken_back from reversals r
    where r.event_id = k.event_id and r.tenant_id = t.tenant_id offset 0
) r on true
left join lateral (
    select array_agg(y.event_id::text) as reversals
    from (
        select y.event_id from transactions y
        where y.reverses = k.event_id and y.tenant_id = t.tenant_id and y.reverses is not null limit 1000
    ) y
) v on true
