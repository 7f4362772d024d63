-- Unless somebody moved it since $2 was read: what was posted under an older time meanwhile was not looked at.
insert into chain_progress (complete_before) values ($1)
on conflict (only_row) do update
set complete_before = greatest(chain_progress.complete_before, excluded.complete_before)
where chain_progress.complete_before is not distinct from $2::timestamptz
