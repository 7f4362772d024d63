insert into chain_progress (complete_before) values ($1)
on conflict (only_row) do update
set complete_before = greatest(chain_progress.complete_before, excluded.complete_before)
