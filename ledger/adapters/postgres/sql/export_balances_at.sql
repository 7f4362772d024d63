-- Balances as they stood at $4, by posted_at; those without an entry by then are left out. What was held is not known.
select t.code as tenant, a.code as account, b.asset, a.normal_side, e.posted_debits, e.posted_credits,
       case when a.normal_side = 'credit' then e.posted_credits - e.posted_debits
            else e.posted_debits - e.posted_credits end as balance,
       null::bigint as held, null::bigint as available, e.version, $4::timestamptz as as_of
from tenants t
join accounts a on a.tenant_id = t.tenant_id
join balances b on b.tenant_id = a.tenant_id and b.account_id = a.account_id
cross join lateral (select version_at(b.tenant_id, b.balance_id, $4::timestamptz) as version offset 0) v
cross join lateral (
    select * from entries e
    where e.tenant_id = b.tenant_id and e.balance_id = b.balance_id and e.version = v.version offset 0
) e
where ($1::text is null or t.code = $1) and ($2::text is null or a.code = $2) and ($3::text is null or b.asset = $3)
order by t.code collate "C", a.code collate "C", b.asset collate "C"
