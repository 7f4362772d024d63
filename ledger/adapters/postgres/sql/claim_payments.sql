-- Only lanes that are named and have room are looked at, so that what may not begin costs nothing. What ends by itself
-- is taken though its lane has no room. Rows are written key by key, whatever the planner knows of tables: so it is an
-- insert, of rows that exist.
with open as materialized (
    select t.tenant_id, g.lane, g.room, g.only_new
    from unnest($4::text[], $5::text[], $6::int[], $7::boolean[]) as g (tenant, lane, room, only_new)
    join tenants t on t.code = g.tenant
    order by random()
), due as (
    select p.*
    from open o cross join lateral (
        select p.*
        from (values (true), (false)) as b (begun) cross join lateral (
            select p.event_id, p.tenant_id, p.due_at, p.debit, p.credit, p.amount, p.asset, p.provider,
                   p.fee_account, p.fee_amount, p.reference, p.deadline, p.created_at, p.version, p.state, p.saga,
                   p.lane
            from payments p
            where p.tenant_id = o.tenant_id and p.lane = o.lane and p.begun = b.begun and p.due_at <= $1
                  and not (o.only_new and b.begun)
            order by p.due_at limit o.room for update skip locked
        ) p
        limit o.room
    ) p
    limit $3
), ended as (
    select p.event_id, p.tenant_id, p.due_at, p.debit, p.credit, p.amount, p.asset, p.provider,
           p.fee_account, p.fee_amount, p.reference, p.deadline, p.created_at, p.version, p.state, p.saga,
           p.lane
    from payments p
    where p.ends_at <= $1 and p.due_at <= $1 order by p.ends_at limit $3 for update skip locked
), taken as materialized (
    select distinct on (event_id, tenant_id) d.* from (select * from due union all select * from ended) d
), claimed as (
    insert into payments
        (event_id, tenant_id, debit, credit, amount, asset, provider, fee_account, fee_amount, reference, deadline,
         created_at, version, state, due_at, saga)
    select event_id, tenant_id, debit, credit, amount, asset, provider, fee_account, fee_amount, reference, deadline,
           created_at, version, state, $2, saga
    from taken
    on conflict (event_id, tenant_id) do update set due_at = excluded.due_at
)
select t.code as tenant, k.event_id::text as event_id, k.lane, k.debit, k.credit, k.amount, k.asset, k.provider,
       k.fee_account, k.fee_amount, k.reference, k.version, k.created_at, k.saga
from taken k join tenants t using (tenant_id)
order by k.due_at
