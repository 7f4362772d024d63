insert into dead_letter_actions (topic, "partition", "offset", action, done_by, at, why, edited_value)
select wanted.*, $4, $5, $6, $7, $8
from unnest($1::text[], $2::int[], $3::bigint[]) wanted (topic, "partition", "offset")
