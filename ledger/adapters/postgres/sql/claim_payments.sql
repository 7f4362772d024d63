-- The lanes in which something waits are found by going from one to the next in the index, so that what may not
-- begin costs nothing. What ends by itself is taken though its lane has no room.
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
    select p.event_id, p.tenant_id, p.due_at
    from open o cross join lateral (
        select p.event_id, p.tenant_id, p.due_at from payments p
        where p.tenant_id = o.tenant_id and p.lane = o.lane and p.due_at <= $1
              and (not o.only_new or p.state = 'funds_held')
        order by p.due_at limit o.room for update skip locked
    ) p
    limit $3
), ended as (
    select p.event_id, p.tenant_id, p.due_at from payments p
    where p.ends_at <= $1 and p.due_at <= $1 order by p.ends_at limit $3 for update skip locked
)
update payments p set due_at = $2
from (select * from due union select * from ended) due join tenants t using (tenant_id)
where p.event_id = due.event_id and p.tenant_id = due.tenant_id
returning t.code as tenant, due.due_at as was_due_at, p.debit, p.credit, p.amount, p.asset, p.provider,
          p.fee_account, p.fee_amount, p.reference, p.version, p.created_at, p.saga
