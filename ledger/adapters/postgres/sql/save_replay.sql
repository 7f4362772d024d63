update replays set state = $2, counts = $3, saved_at = $4::timestamptz, ended_at = case when $5 then $4::timestamptz end
where replay_id = $1 and ended_at is null
returning replay_id
