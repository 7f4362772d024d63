select replay_id::text, target, source, done_by, why, started_at, ended_at, state, counts
from replays where target = $1 and ended_at is null order by started_at desc, replay_id desc
