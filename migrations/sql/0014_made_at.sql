-- A worker remembers the rows of balances. In restored books one of them may be another account's by now: it has the
-- number, but was made at another time. No row is written: the rows of before all have the time of this statement.
alter table balances add column made_at timestamptz not null default now()
--;
comment on column balances.made_at is 'when made or migrated'
