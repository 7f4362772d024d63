-- What operators did about dead letters. The letters stay as they are; the newest action says how one stands.
create table dead_letter_actions (
    action_id bigint generated always as identity primary key,
    topic text not null,
    "partition" int not null,
    "offset" bigint not null,
    action text not null check (action in ('requeued', 'dropped')),
    why text,
    done_by text not null,
    at timestamptz not null,
    edited_value bytea,
    foreign key (topic, "partition", "offset") references dead_letters,
    check (action = 'requeued' or (edited_value is null and why is not null))
)
--;
comment on column dead_letter_actions.edited_value is 'what was sent instead of the letter; null: the letter itself'
--;
create index dead_letter_actions_by_letter on dead_letter_actions (topic, "partition", "offset", action_id)
--;
create index dead_letters_by_time on dead_letters (at, topic, "partition", "offset")
--;
grant select, insert on dead_letter_actions to ledger_worker
