-- Codes from $2 to before $3, a page of them after $4; each with all its balances.
with page as (
    select * from accounts a
    where a.tenant_id = $1 and a.code >= $2 and a.code < $3 and ($4::text is null or a.code > $4)
    order by a.code limit $5
)
select a.code, a.normal_side, a.overdraft, a.metadata, a.opened_at, a.closed_at,
       b.asset, b.posted_debits, b.posted_credits, b.held, b.version
from page a
left join lateral (
    select * from balances b where b.tenant_id = a.tenant_id and b.account_id = a.account_id offset 0
) b on true
order by a.code, b.asset collate "C"
