-- Claim each id once. Gives the ordinals (from 1) of those that were claimed before, by whomever.
-- A column of one element holds for all.
with given as (
    select g.event_id, case when cardinality($2) = 1 then ($2)[1] else g.tenant_id end as tenant_id,
        g.fingerprint, case when cardinality($4) = 1 then ($4)[1] else g.type end as type,
        case when cardinality($5) = 1 then ($5)[1] else g.topic end as topic,
        case when cardinality($6) = 1 then ($6)[1] else g."partition" end as "partition", g."offset",
        case when cardinality($8) = 1 then ($8)[1] else g.at end as at, g.ordinal
    from unnest($1::uuid[], $2::int[], $3::bytea[], $4::text[], $5::text[], $6::int[], $7::bigint[],
            $8::timestamptz[])
        with ordinality as g (event_id, tenant_id, fingerprint, type, topic, "partition", "offset", at, ordinal)
), claimed as (
    insert into processed_events
        (event_id, tenant_id, fingerprint, type, kind, posted_at, topic, "partition", "offset")
    select event_id, tenant_id, fingerprint, type, 'posted', at, topic, "partition", "offset" from given
    on conflict (event_id, tenant_id) do nothing
    returning event_id, tenant_id
)
select g.ordinal from given g left join claimed c using (event_id, tenant_id) where c.event_id is null
