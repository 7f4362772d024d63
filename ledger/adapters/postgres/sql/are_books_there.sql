select (select 1 from accounts limit 0), (select 1 from api_keys limit 0)
