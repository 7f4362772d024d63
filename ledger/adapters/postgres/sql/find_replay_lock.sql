select l.pid, a.backend_start as since
from pg_locks l left join pg_stat_activity a on a.pid = l.pid
where l.locktype = 'advisory' and l.objsubid = 2 and l.granted
    and l.database = (select oid from pg_database where datname = current_database())
    and l.classid = 72619943::oid and l.objid::bigint = (hashtext($1)::bigint & 4294967295)
