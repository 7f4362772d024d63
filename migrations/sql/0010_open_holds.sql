-- New books get the index at once; of books in use it is made afterwards, beside whoever writes.
do $$
begin
    if pg_relation_size('holds') = 0 then
        create index if not exists open_holds on holds (tenant_id, debit, asset, event_id) where state = 'open';
    end if;
end $$
