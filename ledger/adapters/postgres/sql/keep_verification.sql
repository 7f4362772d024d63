insert into verifications (at, verdict) values (now(), $1)
on conflict (only_row) do update set at = excluded.at, verdict = excluded.verdict
