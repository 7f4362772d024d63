-- `offset 0`: looked up key by key, whatever the planner knows of tables that grow by thousands of rows a second.
select k.tenant_id, k.number, k.event_id::text as event_id, k.digest, k.hash, k.late,
       t.event_id is not null as stands,
       t.type, t.posted_at, t.effective_at, t.reference, t.metadata,
       t.reverses::text as reverses, t.captures::text as captures,
       l.accounts, l.assets, l.amounts, l.versions, l.debits, l.credits, l.times
from (
    select * from chain_links c where c.tenant_id = $1 and c.number > $2 order by c.number limit $3
) k
left join lateral (
    select * from transactions t where t.event_id = k.event_id and t.tenant_id = k.tenant_id offset 0
) t on true
left join lateral (
    select array_agg(a.code order by e.line) as accounts, array_agg(e.asset order by e.line) as assets,
           array_agg(e.amount order by e.line) as amounts, array_agg(e.version order by e.line) as versions,
           array_agg(e.posted_debits order by e.line) as debits,
           array_agg(e.posted_credits order by e.line) as credits,
           array_agg(e.posted_at order by e.line) as times
    from (
        select * from entries e where e.event_id = k.event_id and e.tenant_id = k.tenant_id offset 0
    ) e
    left join lateral (
        select b.account_id from balances b
        where b.tenant_id = e.tenant_id and b.balance_id = e.balance_id offset 0
    ) b on true
    left join lateral (
        select a.code from accounts a where a.tenant_id = e.tenant_id and a.account_id = b.account_id offset 0
    ) a on true
) l on t.event_id is not null
order by k.number
