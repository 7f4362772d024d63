-- What the books place nowhere, or where they never were: no records read can stand for it.
with placed as (
    select p.tenant_id, p.event_id::text as event, null::boolean as dead_letter, p.topic, p."partition", p."offset"
    from processed_events p
    union all
    select null, null, true, d.topic, d."partition", d."offset" from dead_letters d
)
select p.* from placed p
left join stream_offsets s on s.topic = p.topic and s."partition" = p."partition"
where s.topic is null or p."offset" is null or p."offset" < 0
   or case when p.topic = $1 then p."partition" <> all ($2::int[]) else p."offset" >= s.next_offset end
union all
select null, null, null, topic, "partition", null from stream_offsets
where topic = $1 and "partition" <> all ($2::int[]) and next_offset > 0
limit 100
