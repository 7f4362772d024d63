-- The first sweep puts a mark there before it looks at anything, so that whoever lowers it finds one.
insert into chain_progress (complete_before) values ('0001-01-02 00:00+00')
on conflict (only_row) do update set complete_before = chain_progress.complete_before
returning complete_before
