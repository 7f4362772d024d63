insert into chain_heads (tenant_id, number, hash)
select * from unnest($1::int[], $2::bigint[], $3::bytea[]) as k (tenant_id, number, hash) order by k.tenant_id
on conflict do nothing
