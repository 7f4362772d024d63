select concat_ws('/', d.topic, d."partition", d."offset") as subject, d.reason as detail
from dead_letters d left join spans s on s."partition" = d."partition"
left join logged l on (l."partition", l."offset") = (d."partition", d."offset")
where d.topic = $1 and l."offset" is null and d."offset" >= coalesce(s.first, 0)
