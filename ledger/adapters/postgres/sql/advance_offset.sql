-- Compare and set: records before $3 must have been handled; a late or repeated batch moves nothing back.
insert into stream_offsets as s (topic, "partition", next_offset) values ($1, $2, $4)
on conflict (topic, "partition") do update
set next_offset = greatest(s.next_offset, excluded.next_offset), moved_at = now()
where s.next_offset >= $3
returning next_offset
