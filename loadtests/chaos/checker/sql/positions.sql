select "partition", next_offset from stream_offsets where topic = $1
