-- What this worker does not tell any more, and what nobody told for long, goes.
with given as (
    select t.tenant_id, g.provider, g.state, g.since, g.retry_at, g.calls, g.bad, g.told_at
    from unnest($3::text[], $4::text[], $5::text[], $6::timestamptz[], $7::timestamptz[], $8::int[], $9::int[],
                $10::timestamptz[])
        as g (tenant, provider, state, since, retry_at, calls, bad, told_at)
    join tenants t on t.code = g.tenant
), gone as (
    delete from provider_breakers b
    where b.told_at < $2
        or (b.worker = $1 and not exists (
            select from given g where g.tenant_id = b.tenant_id and g.provider = b.provider
        ))
)
insert into provider_breakers (tenant_id, provider, worker, state, since, retry_at, calls, bad, told_at)
select tenant_id, provider, $1, state, since, retry_at, calls, bad, told_at from given
on conflict (tenant_id, provider, worker) do update
set state = excluded.state, since = excluded.since, retry_at = excluded.retry_at, calls = excluded.calls,
    bad = excluded.bad, told_at = excluded.told_at
