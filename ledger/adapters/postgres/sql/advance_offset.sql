-- Compare and set: records before $3 must have been handled; a late or repeated batch moves nothing back.
-- A partition that the books have never seen begins at 0, or where begin_offsets said.
insert into stream_offsets as s (topic, "partition", next_offset)
select $1::text, $2::int, $4::bigint
where $3::bigint = 0 or exists (select from stream_offsets where topic = $1 and "partition" = $2)
on conflict (topic, "partition") do update
set next_offset = greatest(s.next_offset, excluded.next_offset), moved_at = now()
where s.next_offset >= $3
returning next_offset
