-- Entries of the account of code $2 of tenant $1, posted in [$4, $5), the oldest first.
select 'entry' as line, e.posted_at, b.asset, -least(e.amount, 0) as debit, greatest(e.amount, 0) as credit,
       case when a.normal_side = 'credit' then e.posted_credits - e.posted_debits
            else e.posted_debits - e.posted_credits end as balance,
       e.version, e.event_id::text as transaction, x.type, x.reference, x.effective_at
from tenants t
join accounts a on a.tenant_id = t.tenant_id
join balances b on b.tenant_id = a.tenant_id and b.account_id = a.account_id
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
where t.code = $1 and a.code = $2 and ($3::text is null or b.asset = $3)
order by e.posted_at, b.asset collate "C", e.version
