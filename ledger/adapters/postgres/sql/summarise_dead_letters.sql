-- Letters without their bytes, with their newest action and the letter that each says it was.
select l.topic, l."partition", l."offset", l.reason, l.detail, l.at, octet_length(l.value) as bytes,
       a.action, a.done_by, a.at as done_at, a.why, null::bytea as edited_value, o.origin
from unnest($1::text[], $2::int[], $3::bigint[]) wanted (topic, "partition", "offset")
join dead_letters l using (topic, "partition", "offset")
left join lateral (
    select * from dead_letter_actions a
    where a.topic = l.topic and a."partition" = l."partition" and a."offset" = l."offset"
    order by a.action_id desc limit 1
) a on true
left join lateral (
    select h.header ->> 1 as origin
    from json_array_elements(l.headers) with ordinality h (header, number)
    where json_typeof(h.header -> 0) = 'string' and h.header ->> 0 = 'ledger-dead-letter'
    order by h.number desc limit 1
) o on true
order by l.at, l.topic, l."partition", l."offset"
