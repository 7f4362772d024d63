-- Marks of the sessions of the console that were signed out of before their time.
alter table api_keys add column if not exists ended_sessions text[] not null default '{}'
--;
grant update (ended_sessions) on api_keys to ledger_api
