-- Each payment with the first line of its timeline.
with asked as (
    insert into payments
        (event_id, tenant_id, debit, credit, amount, asset, provider, fee_account, fee_amount, reference, deadline,
         created_at, version, state, step, due_at, ends_at, saga)
    select g.*
    from unnest($1::uuid[], $2::int[], $3::text[], $4::text[], $5::bigint[], $6::text[], $7::text[], $8::text[],
                $9::bigint[], $10::text[], $11::timestamptz[], $12::timestamptz[], $13::int[], $14::text[],
                $15::text[], $16::timestamptz[], $17::timestamptz[], $18::json[])
        as g (event_id, tenant_id, debit, credit, amount, asset, provider, fee_account, fee_amount, reference,
              deadline, created_at, version, state, step, due_at, ends_at, saga)
    returning event_id, tenant_id, version, created_at, state, due_at
)
insert into payment_steps (event_id, tenant_id, number, at, happening, verdict, state, commands, begins, next_at)
select event_id, tenant_id, version, created_at, $19, $20, state, '{}', false, due_at from asked
