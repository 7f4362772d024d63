insert into verifications as v (at, verdict) values ($1, $2)
on conflict (only_row) do update set at = excluded.at, verdict = excluded.verdict where v.at <= excluded.at
