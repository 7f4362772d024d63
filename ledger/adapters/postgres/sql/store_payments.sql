-- What is stored is what nobody stored before: neither another version of the saga, nor the beginning of the call.
-- The lines of a payment come only with its versions, so under its lock none can have come unseen.
-- Rows are found and written key by key, whatever the planner knows of tables: so it is an insert, of rows that exist.
with given as (
    select g.*, t.tenant_id
    from unnest($1::text[], $2::uuid[], $3::int[], $4::text[], $5::text[], $6::uuid[], $7::timestamptz[],
                $8::timestamptz[], $9::json[], $10::timestamptz[], $11::text[], $12::text[], $13::text[],
                $14::int[], $15::boolean[], $16::uuid[], $17::timestamptz[], $18::text[], $19::text[])
        with ordinality
        as g (tenant, event_id, version, state, step, publishes, due_at, ends_at, saga, at, happening, verdict,
              commands, attempt, begins, line_publishes, line_next_at, detail, done_by, ordinal)
    join tenants t on t.code = g.tenant
    order by g.event_id, t.tenant_id
), locked as materialized (
    select g.*, p.debit, p.credit, p.amount, p.asset, p.provider, p.fee_account, p.fee_amount, p.reference,
           p.deadline, p.created_at
    from given g cross join lateral (
        select p.debit, p.credit, p.amount, p.asset, p.provider, p.fee_account, p.fee_amount, p.reference,
               p.deadline, p.created_at
        from payments p
        where p.event_id = g.event_id and p.tenant_id = g.tenant_id and p.version = g.version
        offset 0 for update
    ) p
), fresh as materialized (
    select l.* from locked l
    where not l.begins or not exists (
        select from payment_steps s
        where s.event_id = l.event_id and s.tenant_id = l.tenant_id and s.attempt = l.attempt and s.begins
    )
), written as (
    insert into payment_steps
        (event_id, tenant_id, number, at, happening, verdict, state, commands, attempt, begins, publishes, next_at,
         detail, done_by)
    select event_id, tenant_id, version + 1, at, happening, verdict, state, string_to_array(commands, ','), attempt,
           begins, line_publishes, line_next_at, detail, done_by
    from fresh
), stored as (
    insert into payments
        (event_id, tenant_id, debit, credit, amount, asset, provider, fee_account, fee_amount, reference, deadline,
         created_at, version, state, step, publishes, due_at, ends_at, saga)
    select event_id, tenant_id, debit, credit, amount, asset, provider, fee_account, fee_amount, reference, deadline,
           created_at, version + 1, state, step, publishes, due_at, ends_at, saga
    from fresh
    on conflict (event_id, tenant_id) do update
    set version = excluded.version, state = excluded.state, step = excluded.step, publishes = excluded.publishes,
        due_at = excluded.due_at, ends_at = excluded.ends_at, saga = excluded.saga
)
select ordinal from fresh
