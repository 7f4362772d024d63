insert into dead_letters (topic, "partition", "offset", key, value, headers, timestamp_ms, reason, detail, at)
select * from unnest($1::text[], $2::int[], $3::bigint[], $4::bytea[], $5::bytea[], $6::json[], $7::bigint[],
                     $8::text[], $9::text[], $10::timestamptz[])
on conflict (topic, "partition", "offset") do nothing
