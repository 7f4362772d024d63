-- `offset 0`: looked up key by key, whatever the planner knows of tables that grow by thousands of rows a second.
-- `timestamptz_send`: the very microseconds that are stored, without a calendar.
select k.tenant_id, k.number, k.event_id::text as event_id, k.digest, k.hash, k.late,
       t.event_id is not null as stands,
       t.type, timestamptz_send(t.posted_at) as posted_at, timestamptz_send(t.effective_at) as effective_at,
       t.reference, t.metadata, t.reverses::text as reverses, t.captures::text as captures
from (
    select * from chain_links c where c.tenant_id = $1 and c.number > $2 order by c.number limit $3
) k
left join lateral (
    select * from transactions t where t.event_id = k.event_id and t.tenant_id = k.tenant_id offset 0
) t on true
order by k.number
