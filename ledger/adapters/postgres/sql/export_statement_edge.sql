-- What the account of code $2 of tenant $1 stood at right before $4 (null: before its first entry, or, where $5 says that
-- the end is meant, now), by asset: the opening and the closing lines of a statement.
select case when $5::boolean then 'closing' else 'opening' end as line,
       coalesce($4::timestamptz, case when $5::boolean then now() end) as posted_at, b.asset,
       null::bigint as debit, null::bigint as credit,
       case when a.normal_side = 'credit' then coalesce(e.posted_credits, 0) - coalesce(e.posted_debits, 0)
            else coalesce(e.posted_debits, 0) - coalesce(e.posted_credits, 0) end as balance,
       v.version, null::text as transaction, null::text as type, null::text as reference,
       null::timestamptz as effective_at
from tenants t
join accounts a on a.tenant_id = t.tenant_id
join balances b on b.tenant_id = a.tenant_id and b.account_id = a.account_id
cross join lateral (
    select case when $4::timestamptz is not null
                then version_at(b.tenant_id, b.balance_id, $4::timestamptz - interval '1 microsecond')
                when $5::boolean then b.version else 0 end as version
    offset 0
) v
left join lateral (
    select * from entries e
    where e.tenant_id = b.tenant_id and e.balance_id = b.balance_id and e.version = v.version offset 0
) e on true
where t.code = $1 and a.code = $2 and ($3::text is null or b.asset = $3)
order by b.asset collate "C"
