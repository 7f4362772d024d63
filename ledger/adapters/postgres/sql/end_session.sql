-- A mark begins with the second in which its session ends by itself; those that have are dropped.
update api_keys set ended_sessions = array(
    select distinct mark from unnest(ended_sessions || $2::text) as mark
    where split_part(mark, '.', 1)::bigint > extract(epoch from now())
    order by mark desc limit $3)
where key_id = $1
