select t.code as tenant, b.asset, sum(b.posted_debits) as posted_debits, sum(b.posted_credits) as posted_credits,
       sum(b.posted_credits) - sum(b.posted_debits) as difference, sum(b.held) as held, count(*) as balances,
       now() as as_of
from tenants t
join balances b on b.tenant_id = t.tenant_id
where ($1::text is null or t.code = $1) and ($2::text is null or b.asset = $2)
group by t.code, b.asset order by t.code collate "C", b.asset collate "C"
