select c.number, c.event_id::text as event_id, c.digest, c.hash, c.late
from chain_links c where c.tenant_id = $1 and c.number > $2 order by c.number limit $3
