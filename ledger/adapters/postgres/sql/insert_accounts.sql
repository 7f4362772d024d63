insert into accounts (tenant_id, code, normal_side, overdraft, metadata, opened_at)
select k.tenant_id, k.code, k.normal_side, k.overdraft, k.metadata, $6
from unnest($1::int[], $2::text[], $3::text[], $4::bigint[], $5::jsonb[]) as k (tenant_id, code, normal_side, overdraft, metadata)
order by k.tenant_id, k.code
on conflict (tenant_id, code) do nothing
returning tenant_id, code, account_id
