-- Who had history run again, from where, why, and how far it came. Only the owner of the books may do that.
create table replays (
    replay_id uuid primary key,
    target text not null check (target in ('live', 'into')),
    source json not null,
    done_by text not null,
    why text not null,
    started_at timestamptz not null,
    saved_at timestamptz not null,
    ended_at timestamptz,
    state json not null,
    counts json not null
)
--;
comment on table replays is 'state: by partition, the next offset to replay and the time that its order has reached'
--;
create function refuse_change_of_replay() returns trigger language plpgsql as $$
begin
    raise exception 'replays tells who replayed what, and why: % is refused', tg_op
        using errcode = 'insufficient_privilege',
              hint = 'Only how far a replay that has not ended came, and that it ended, is written down later.';
end $$
--;
create trigger replays_stay before delete or truncate on replays
    for each statement execute function refuse_change_of_replay()
--;
create trigger replays_are_as_begun before update on replays
    for each row when (
        old.ended_at is not null
        or (old.replay_id, old.target, old.source::text, old.done_by, old.why, old.started_at)
           is distinct from (new.replay_id, new.target, new.source::text, new.done_by, new.why, new.started_at)
    ) execute function refuse_change_of_replay()
