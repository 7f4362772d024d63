-- UUIDv7 begins with its time, so a month of ids is a range. Ids of no month that is kept (refused as too old
-- or as from the future) fall into the default partition, and move when their month is made.
create table processed_events_default partition of processed_events default
--;
create function first_id_at(moment timestamptz) returns uuid language sql immutable strict as $$
    select (lpad(to_hex((extract(epoch from moment) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid
$$
--;
create function make_event_partition(month_start timestamptz) returns boolean language plpgsql as $$
declare
    month_end timestamptz := (month_start at time zone 'UTC' + interval '1 month') at time zone 'UTC';
    name text := 'processed_events_' || to_char(month_start at time zone 'UTC', 'YYYY_MM');
begin
    if to_regclass(format('%I', name)) is not null then
        return false;
    end if;
    execute format('create table %I (like processed_events including all)', name);
    execute format(
        'with moved as (delete from processed_events_default where event_id >= %L and event_id < %L returning *)
         insert into %I select * from moved', first_id_at(month_start), first_id_at(month_end), name);
    execute format('alter table processed_events attach partition %I for values from (%L) to (%L)',
        name, first_id_at(month_start), first_id_at(month_end));
    return true;
end $$
--;
-- Make the partitions from `since` to `months_ahead` months after now. Idempotent; returns how many were made.
create function make_event_partitions(since timestamptz, months_ahead int) returns int language plpgsql
security definer as $$
declare
    month_start timestamptz;
    made int := 0;
begin
    perform pg_advisory_xact_lock(7261994311);
    for month_start in
        select month at time zone 'UTC' from generate_series(
            date_trunc('month', since at time zone 'UTC'),
            date_trunc('month', now() at time zone 'UTC') + make_interval(months => months_ahead),
            interval '1 month') month
    loop
        made := made + make_event_partition(month_start)::int;
    end loop;
    return made;
end $$
--;
-- Drop the partitions whose every id is older than `horizon`: those ids are refused as too old from then on.
create function drop_event_partitions(horizon timestamptz) returns int language plpgsql
security definer as $$
declare
    name text;
    dropped int := 0;
begin
    perform pg_advisory_xact_lock(7261994311);
    for name in
        select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid
        where i.inhparent = 'processed_events'::regclass and c.relname ~ '^processed_events_\d{4}_\d{2}$'
          and to_date(right(c.relname, 7), 'YYYY_MM') + interval '1 month' <= horizon at time zone 'UTC'
    loop
        execute format('drop table %I', name);
        dropped := dropped + 1;
        insert into event_horizon (dropped_before)
        values (first_id_at((to_date(right(name, 7), 'YYYY_MM') + interval '1 month') at time zone 'UTC'))
        on conflict (only_row) do update
        set dropped_before = greatest(event_horizon.dropped_before, excluded.dropped_before);
    end loop;
    return dropped;
end $$
--;
-- They run as their owner: a caller's temporary tables must not stand in for those of the books.
do $$ begin
    execute format('alter function make_event_partitions set search_path = %I, pg_temp', current_schema());
    execute format('alter function drop_event_partitions set search_path = %I, pg_temp', current_schema());
end $$
--;
revoke all on function make_event_partitions, drop_event_partitions, make_event_partition from public
