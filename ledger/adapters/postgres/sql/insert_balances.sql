insert into balances (tenant_id, account_id, asset, normal_side, overdraft,
                      posted_debits, posted_credits, held, version, last_posted_at)
select * from unnest($1::int[], $2::bigint[], $3::text[], $4::text[], $5::bigint[],
                     $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[], $10::timestamptz[])
    as k (tenant_id, account_id, asset)
order by k.tenant_id, k.account_id, k.asset
on conflict (tenant_id, account_id, asset) do nothing
returning tenant_id, account_id, asset, balance_id, made_at
