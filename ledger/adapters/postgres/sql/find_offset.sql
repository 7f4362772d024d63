select next_offset from stream_offsets where topic = $1 and "partition" = $2
