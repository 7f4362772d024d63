-- Entries posted in [$4, $5). Balances come sorted, and the entries of one are a range of its versions: what is left to
-- sort at a time are the entries of one balance.
with chosen as materialized (
    select t.code as tenant, a.code as account, a.normal_side, b.asset, b.tenant_id, b.balance_id, b.version
    from tenants t
    join accounts a on a.tenant_id = t.tenant_id
    join balances b on b.tenant_id = a.tenant_id and b.account_id = a.account_id
    where ($1::text is null or t.code = $1) and ($2::text is null or a.code = $2) and ($3::text is null or b.asset = $3)
)
select b.tenant, b.account, b.asset, e.version, e.amount,
       case when b.normal_side = 'credit' then e.posted_credits - e.posted_debits
            else e.posted_debits - e.posted_credits end as balance,
       e.posted_debits, e.posted_credits, e.event_id::text as transaction, e.line, x.type, x.reference, e.posted_at,
       x.effective_at
from (
    select * from chosen order by tenant collate "C", account collate "C", asset collate "C" offset 0
) b
cross join lateral (
    select case when $4::timestamptz is null then 0
                else version_at(b.tenant_id, b.balance_id, $4::timestamptz - interval '1 microsecond') end as low,
           case when $5::timestamptz is null then b.version
                else version_at(b.tenant_id, b.balance_id, $5::timestamptz - interval '1 microsecond') end as high
    offset 0
) v
cross join lateral (
    select * from entries e
    where e.tenant_id = b.tenant_id and e.balance_id = b.balance_id and e.version > v.low and e.version <= v.high
    offset 0
) e
cross join lateral (
    select * from transactions x where x.event_id = e.event_id and x.tenant_id = e.tenant_id offset 0
) x
order by b.tenant collate "C", b.account collate "C", b.asset collate "C", e.version
