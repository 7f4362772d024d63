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
