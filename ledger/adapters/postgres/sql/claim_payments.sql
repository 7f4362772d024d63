-- The lanes in which something waits are found by going from one to the next in the index, so that what may not
-- begin costs nothing. What ends by itself is taken though its lane has no room. Rows are written key by key, whatever the
-- planner knows of tables: so it is an insert, of rows that exist.
with recursive lanes as (
    (select p.tenant_id, p.lane from payments p where p.due_at is not null order by p.tenant_id, p.lane limit 1)
    union all
    select n.tenant_id, n.lane
    from lanes l cross join lateral (
        select p.tenant_id, p.lane from payments p
        where p.due_at is not null and (p.tenant_id, p.lane) > (l.tenant_id, l.lane)
        order by p.tenant_id, p.lane limit 1
    ) n
), open as materialized (
    select l.tenant_id, l.lane, coalesce(g.room, case l.lane when '' then $3::int else $4::int end) as room,
           coalesce(g.only_new, false) as only_new
    from lanes l
    left join (
        unnest($5::text[], $6::text[], $7::int[], $8::boolean[]) as g (tenant, lane, room, only_new)
        join tenants t on t.code = g.tenant
    ) on t.tenant_id = l.tenant_id and g.lane = l.lane
    order by random()
), due as (
    select p.*
    from open o cross join lateral (
        select p.*
        from (values (true), (false)) as b (begun) cross join lateral (
            select p.event_id, p.tenant_id, p.due_at, p.debit, p.credit, p.amount, p.asset, p.provider,
                   p.fee_account, p.fee_amount, p.reference, p.deadline, p.created_at, p.version, p.state, p.saga
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
           p.fee_account, p.fee_amount, p.reference, p.deadline, p.created_at, p.version, p.state, p.saga
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
select t.code as tenant, k.debit, k.credit, k.amount, k.asset, k.provider, k.fee_account, k.fee_amount, k.reference,
       k.version, k.created_at, k.saga
from taken k join tenants t using (tenant_id)
order by k.due_at
