-- Totals of all balances as they stood at $3, by posted_at. What was held is not known.
select t.code as tenant, b.asset, sum(e.posted_debits) as posted_debits, sum(e.posted_credits) as posted_credits,
       sum(e.posted_credits) - sum(e.posted_debits) as difference, null::numeric as held, count(*) as balances,
       $3::timestamptz as as_of
from tenants t
join balances b on b.tenant_id = t.tenant_id
cross join lateral (select version_at(b.tenant_id, b.balance_id, $3::timestamptz) as version offset 0) v
cross join lateral (
    select * from entries e
    where e.tenant_id = b.tenant_id and e.balance_id = b.balance_id and e.version = v.version offset 0
) e
where ($1::text is null or t.code = $1) and ($2::text is null or b.asset = $2)
group by t.code, b.asset order by t.code collate "C", b.asset collate "C"
