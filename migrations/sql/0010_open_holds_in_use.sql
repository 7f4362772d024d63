-- The holds that are open on a balance are few, however many there ever were.
create index concurrently open_holds on holds (tenant_id, debit, asset, event_id) where state = 'open'
