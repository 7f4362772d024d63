select t.code as tenant, a.code as account, b.asset, a.normal_side, b.posted_debits, b.posted_credits,
       case when a.normal_side = 'credit' then b.posted_credits - b.posted_debits
            else b.posted_debits - b.posted_credits end as balance,
       b.held,
       case when a.normal_side = 'credit' then b.posted_credits - b.posted_debits
            else b.posted_debits - b.posted_credits end - b.held as available,
       b.version, now() as as_of
from tenants t
join accounts a on a.tenant_id = t.tenant_id
join balances b on b.tenant_id = a.tenant_id and b.account_id = a.account_id
where ($1::text is null or t.code = $1) and ($2::text is null or a.code = $2) and ($3::text is null or b.asset = $3)
order by t.code collate "C", a.code collate "C", b.asset collate "C"
