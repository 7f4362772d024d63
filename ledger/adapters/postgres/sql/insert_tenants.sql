insert into tenants (code, auto_open)
select code, $2 from unnest($1::text[]) as k (code) order by code
on conflict (code) do nothing
