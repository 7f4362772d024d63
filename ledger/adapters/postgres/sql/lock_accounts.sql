-- Held by whoever closes an account and whoever adds an asset to it, so that neither misses the other.
select tenant_id, account_id, closed_at is not null as closed
from accounts
where (tenant_id, account_id) in (select * from unnest($1::int[], $2::bigint[]))
order by tenant_id, account_id
for update
