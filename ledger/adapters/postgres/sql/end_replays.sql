update replays set ended_at = $2 where replay_id = any($1::uuid[]) and ended_at is null
