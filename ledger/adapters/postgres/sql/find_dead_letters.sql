-- Letters and their newest action, the oldest first; $7 to $9 is the letter after which to begin.
select f.*, o.origin
from (
    select l.topic, l."partition", l."offset", l.reason, l.detail, l.at, octet_length(l.value) as bytes, l.headers,
           a.action, a.done_by, a.at as done_at, a.why, null::bytea as edited_value
    from dead_letters l
    left join lateral (
        select * from dead_letter_actions a
        where a.topic = l.topic and a."partition" = l."partition" and a."offset" = l."offset"
        order by a.action_id desc limit 1
    ) a on true
    where ($1::text is null or l.reason = $1)
      and ($2::timestamptz is null or l.at >= $2)
      and ($3::timestamptz is null or l.at < $3)
      and ($4::text is null or l.topic = $4)
      and ($5::int is null or l."partition" = $5)
      and ($6::boolean or a.action is null)
      and ($7::text is null or (l.at, l.topic, l."partition", l."offset") > (
          select p.at, p.topic, p."partition", p."offset" from dead_letters p
          where p.topic = $7 and p."partition" = $8::int and p."offset" = $9::bigint))
    order by l.at, l.topic, l."partition", l."offset"
    limit $10
) f
left join lateral (
    select h.header ->> 1 as origin
    from json_array_elements(f.headers) with ordinality h (header, number)
    where json_typeof(h.header -> 0) = 'string' and h.header ->> 0 = 'ledger-dead-letter'
    order by h.number desc limit 1
) o on true
order by f.at, f.topic, f."partition", f."offset"
