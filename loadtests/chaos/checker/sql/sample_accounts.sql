(select a.account_id, a.code, a.normal_side, a.overdraft, a.closed_at is not null as closed
 from accounts a where a.tenant_id = $1
 order by (select max(b.version) from balances b where b.tenant_id = a.tenant_id and b.account_id = a.account_id) desc nulls last
 limit least(5, $2::int))
union
(select a.account_id, a.code, a.normal_side, a.overdraft, a.closed_at is not null
 from accounts a where a.tenant_id = $1 order by md5(a.code) limit $2::int)
