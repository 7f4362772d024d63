-- A session's lock is of the server on which it was taken: one that took over knows nothing of it.
select exists (
    select from pg_locks
    where locktype = 'advisory' and objsubid = 1 and granted
        and database = (select oid from pg_database where datname = current_database())
        and ((classid::bigint << 32) | objid::bigint) = $1::bigint
)
