-- All that a small batch posts, in one trip. A column of balances that has one element holds for all.
with moved as (
    update balances b
    set posted_debits = k.posted_debits, posted_credits = k.posted_credits,
        held = case when cardinality($5) = 1 then ($5)[1] else k.held end, version = k.version,
        last_posted_at = case when cardinality($7) = 1 then ($7)[1] else k.last_posted_at end
    from unnest($1::int[], $2::text::bigint[], $3::text::bigint[], $4::text::bigint[], $5::bigint[],
                $6::text::bigint[], $7::timestamptz[])
        as k (tenant_id, balance_id, posted_debits, posted_credits, held, version, last_posted_at)
    where b.tenant_id = case when cardinality($1) = 1 then ($1)[1] else k.tenant_id end
        and b.balance_id = k.balance_id
), posted as (
    insert into transactions
        (event_id, tenant_id, type, posted_at, effective_at, reference, metadata, reverses, captures)
    select * from unnest($8::uuid[], $9::int[], $10::text[], $11::timestamptz[], $12::timestamptz[],
                         $13::text[], $14::jsonb[], $15::uuid[], $16::uuid[])
)
insert into entries (tenant_id, balance_id, version, event_id, line, asset, amount,
                     posted_debits, posted_credits, posted_at)
select * from unnest($17::int[], $18::bigint[], $19::bigint[], $20::uuid[], $21::smallint[], $22::text[],
                     $23::bigint[], $24::bigint[], $25::bigint[], $26::timestamptz[])
