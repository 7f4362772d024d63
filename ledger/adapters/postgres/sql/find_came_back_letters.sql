-- Letters since that of $1 to $3 that say that they were it; $4 is its name in base64.
select l.topic, l."partition", l."offset", l.reason, l.detail, l.at, octet_length(l.value) as bytes,
       a.action, a.done_by, a.at as done_at, a.why, null::bytea as edited_value, o.origin
from dead_letters l
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
where l.at >= (select p.at from dead_letters p where p.topic = $1 and p."partition" = $2::int and p."offset" = $3::bigint)
  and l.headers::text like '%"ledger-dead-letter"%'
  and o.origin = $4::text
order by l.at, l.topic, l."partition", l."offset"
limit $5
