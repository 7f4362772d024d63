-- Claim each id once. Gives the ordinals (from 1) of those that were claimed before, by whomever.
with given as (
    select * from unnest($1::uuid[], $2::int[], $3::bytea[], $4::text[], $5::text[], $6::int[], $7::bigint[],
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
