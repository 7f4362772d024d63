-- The balance after the last entry that was posted at or before $4.
select a.normal_side, e.posted_debits, e.posted_credits, e.version
from accounts a
left join lateral (
    select b.balance_id, version_at(b.tenant_id, b.balance_id, $4) as version from balances b
    where b.tenant_id = a.tenant_id and b.account_id = a.account_id and b.asset = $3 offset 0
) b on true
left join lateral (
    select * from entries e
    where e.tenant_id = a.tenant_id and e.balance_id = b.balance_id and e.version = b.version offset 0
) e on true
where a.tenant_id = $1 and a.code = $2
