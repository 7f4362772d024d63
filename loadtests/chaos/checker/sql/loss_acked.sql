select concat_ws('/', $1::text, s."partition", s."offset") as subject, 'acknowledged' as detail
from sent s left join spans p on p."partition" = s."partition"
left join logged l on (l."partition", l."offset") = (s."partition", s."offset")
where s.acked and l."offset" is null and s."offset" >= coalesce(p.first, 0)
