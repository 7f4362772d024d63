-- What is stored is what nobody stored before: neither another version of the saga, nor the beginning of the call.
-- The lines of a payment come only with its versions, so under its lock none can have come unseen.
with given as (
    select g.*, t.tenant_id
    from unnest($1::text[], $2::uuid[], $3::int[], $4::text[], $5::text[], $6::uuid[], $7::timestamptz[],
                $8::timestamptz[], $9::json[], $10::timestamptz[], $11::text[], $12::text[], $13::text[],
                $14::int[], $15::boolean[], $16::uuid[], $17::timestamptz[], $18::text[], $19::text[])
        with ordinality
        as g (tenant, event_id, version, state, step, publishes, due_at, ends_at, saga, at, happening, verdict, commands,
              attempt, begins, line_publishes, line_next_at, detail, done_by, ordinal)
    join tenants t on t.code = g.tenant
), locked as (
    select g.*
    from given g join payments p
        on p.event_id = g.event_id and p.tenant_id = g.tenant_id and p.version = g.version
    order by p.event_id, p.tenant_id
    for update of p
), fresh as (
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
)
update payments p
set version = f.version + 1, state = f.state, step = f.step, publishes = f.publishes, due_at = f.due_at,
    ends_at = f.ends_at, saga = f.saga
from fresh f
where p.event_id = f.event_id and p.tenant_id = f.tenant_id
returning f.ordinal
