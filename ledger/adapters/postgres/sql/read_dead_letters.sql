select l.*, a.action, a.done_by, a.at as done_at, a.why, a.edited_value
from unnest($1::text[], $2::int[], $3::bigint[]) wanted (topic, "partition", "offset")
join dead_letters l using (topic, "partition", "offset")
left join lateral (
    select * from dead_letter_actions a
    where a.topic = l.topic and a."partition" = l."partition" and a."offset" = l."offset"
    order by a.action_id desc limit 1
) a on true
order by l.at, l.topic, l."partition", l."offset"
