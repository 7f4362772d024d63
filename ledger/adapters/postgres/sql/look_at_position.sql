select "partition", next_offset, moved_at from stream_offsets where topic = $1
