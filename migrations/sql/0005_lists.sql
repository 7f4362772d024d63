-- Codes in the order of their bytes, whatever language the database sorts by: so that a prefix is a range of an index.
alter table accounts alter column code type text collate "C"
--;
-- What took a transaction back, and what captured of a hold. Of most transactions neither is true.
create index transactions_by_reversed on transactions (reverses, tenant_id) where reverses is not null
--;
create index transactions_by_captured on transactions (captures, tenant_id) where captures is not null
