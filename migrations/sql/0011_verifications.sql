create table verifications (
    only_row boolean primary key default true check (only_row),
    at timestamptz not null,
    verdict json not null
)
--;
comment on table verifications is 'the verdict of the last verification: for the console, and no proof by itself'
--;
grant select, insert, update on verifications to ledger_worker
