insert into replays (replay_id, target, source, done_by, why, started_at, saved_at, state, counts)
values ($1, $2, $3, $4, $5, now(), now(), $6, $7)
returning started_at
