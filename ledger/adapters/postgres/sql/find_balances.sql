-- Which of the wanted accounts and balances exist; settings other than `closed` never change.
select a.tenant_id, a.code, k.asset, a.account_id, a.normal_side, a.overdraft, a.metadata,
       a.closed_at is not null as closed, b.balance_id
from unnest($1::int[], $2::text[], $3::text[]) as k (tenant_id, code, asset)
join accounts a on a.tenant_id = k.tenant_id and a.code = k.code
left join balances b on b.tenant_id = a.tenant_id and b.account_id = a.account_id and b.asset = k.asset
