select "offset", key, value, headers, timestamp_ms, reason
from dead_letters where topic = $1 and "partition" = $2 and "offset" between $3 and $4
order by "offset" limit $5
