-- Keys come as two texts: to make arrays of them costs the worker as much as reading their rows.
-- `offset 0`: looked up key by key, whatever the planner knows of tables that grow by thousands of rows a second.
-- `timestamptz_send`: the very microseconds that are stored, without a calendar.
select k.tenant_id, k.event_id::text as event_id, t.event_id is not null as stands,
       t.type, timestamptz_send(t.posted_at) as posted_at, timestamptz_send(t.effective_at) as effective_at,
       t.reference, t.metadata, t.reverses::text as reverses, t.captures::text as captures
from unnest(string_to_array($1, ',')::int[], string_to_array($2, ',')::uuid[])
    with ordinality as k (tenant_id, event_id, ordinal)
left join lateral (
    select c.number from chain_links c
    where c.event_id = k.event_id and c.tenant_id = k.tenant_id offset 0
) c on true
left join lateral (
    select * from transactions t where t.event_id = k.event_id and t.tenant_id = k.tenant_id offset 0
) t on true
where c.number is null
order by k.ordinal
