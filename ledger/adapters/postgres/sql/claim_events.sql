-- Claim ids that nobody has claimed: the status tells how many were. To say which were not costs a quarter more.
-- A column of one element holds for all. Claimed as posted, at the time of their transaction: see settle_events.
insert into processed_events (event_id, tenant_id, fingerprint, type, kind, topic, "partition", "offset")
select g.event_id, case when cardinality($2) = 1 then ($2)[1] else g.tenant_id end, g.fingerprint,
    case when cardinality($4) = 1 then ($4)[1] else g.type end, 'posted',
    case when cardinality($5) = 1 then ($5)[1] else g.topic end,
    case when cardinality($6) = 1 then ($6)[1] else g."partition" end, g."offset"
from unnest($1::text::uuid[], $2::int[], $3::bytea[], $4::text[], $5::text[], $6::int[], $7::text::bigint[])
    as g (event_id, tenant_id, fingerprint, type, topic, "partition", "offset")
on conflict (event_id, tenant_id) do nothing
