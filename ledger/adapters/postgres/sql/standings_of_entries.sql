-- The same as balances have it, worked out from entries and open holds alone; balances only give the names.
with moved as (
    select tenant_id, balance_id, count(*) as version,
           sum(-amount) filter (where amount < 0) as posted_debits,
           sum(amount) filter (where amount > 0) as posted_credits,
           sum(('x' || left(md5(event_id || '/' || line || '/' || amount), 16))::bit(64)::bigint) as entries
    from entries group by tenant_id, balance_id
), held as (
    select tenant_id, debit, asset, sum(amount_left) as held
    from holds where state = 'open' group by tenant_id, debit, asset
)
select t.code as tenant, a.code as account, b.asset, coalesce(m.posted_debits, 0)::numeric as posted_debits,
       coalesce(m.posted_credits, 0)::numeric as posted_credits, coalesce(h.held, 0)::numeric as held,
       coalesce(m.version, 0) as version, coalesce(m.entries, 0) as entries
from balances b
join accounts a using (tenant_id, account_id)
join tenants t using (tenant_id)
left join moved m using (tenant_id, balance_id)
left join held h on h.tenant_id = b.tenant_id and h.debit = a.code and h.asset = b.asset
order by t.code collate "C", a.code collate "C", b.asset collate "C"
