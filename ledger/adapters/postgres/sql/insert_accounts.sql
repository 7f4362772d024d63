insert into accounts (tenant_id, code, normal_side, overdraft, metadata, opened_at)
select k.tenant_id, k.code, k.normal_side, k.overdraft, k.metadata, k.opened_at
from unnest($1::int[], $2::text[], $3::text[], $4::bigint[], $5::jsonb[], $6::timestamptz[])
    as k (tenant_id, code, normal_side, overdraft, metadata, opened_at)
order by k.tenant_id, k.code
on conflict (tenant_id, code) do nothing
returning tenant_id, code, account_id
