insert into reversals (event_id, tenant_id, size, reversed)
select * from unnest($1::uuid[], $2::int[], $3::bigint[], $4::bigint[])
on conflict (event_id, tenant_id) do update set reversed = excluded.reversed
