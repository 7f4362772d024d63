-- `offset 0`: looked up key by key, whatever the planner knows of tables that grow by thousands of rows a second.
select k.ordinal, p.topic, p."partition", p."offset", p.fingerprint, p.type, p.kind,
       t.type as transaction_type, t.posted_at, t.effective_at, t.reference, t.metadata_stands,
       t.reverses::text as reverses, t.captures::text as captures,
       l.accounts, l.assets, l.amounts,
       h.debit, h.credit, h.asset, h.amount, h.expires_at, h.reference as hold_reference,
       y.provider, y.fee_account, y.fee_amount, y.deadline
from unnest($1::uuid[], $2::int[], $3::text[]) with ordinality as k (event_id, tenant_id, metadata, ordinal)
cross join lateral (
    select * from processed_events p where p.event_id = k.event_id and p.tenant_id = k.tenant_id offset 0
) p
left join lateral (
    select t.*, t.metadata is not distinct from k.metadata::jsonb as metadata_stands from transactions t
    where t.event_id = k.event_id and t.tenant_id = k.tenant_id offset 0
) t on true
left join lateral (
    select array_agg(a.code order by e.line) as accounts, array_agg(e.asset order by e.line) as assets,
           array_agg(e.amount order by e.line) as amounts
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
left join lateral (
    select * from holds h
    where p.type in ('hold.place.v1', 'payment.request.v1')
      and h.event_id = k.event_id and h.tenant_id = k.tenant_id offset 0
) h on true
left join lateral (
    select * from payments y
    where p.type = 'payment.request.v1' and y.event_id = k.event_id and y.tenant_id = k.tenant_id offset 0
) y on true
