select c.relname::text as name
from pg_inherits i join pg_class c on c.oid = i.inhrelid
where i.inhparent = 'processed_events'::regclass and c.relname ~ '^processed_events_\d{4}_\d{2}$'
