insert into stream_offsets (topic, "partition", next_offset)
select $1, k."partition", k.first_offset from unnest($2::int[], $3::bigint[]) as k ("partition", first_offset)
on conflict (topic, "partition") do nothing
