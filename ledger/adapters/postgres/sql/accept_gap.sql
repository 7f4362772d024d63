-- Compare and set: the books go past the gap only if they still stand before it, and never without the deed.
with moved as (
    update stream_offsets set next_offset = $4, moved_at = $7
    where topic = $1 and "partition" = $2 and next_offset = $3
    returning topic, "partition", next_offset
)
insert into accepted_gaps (topic, "partition", first_offset, next_offset, why, done_by, at)
select topic, "partition", $3, next_offset, $5, $6, $7 from moved
returning next_offset
