select concat_ws('/', $1::text, s."partition", s."offset") as subject, 'other bytes' as detail
from sent s join logged l on (l."partition", l."offset") = (s."partition", s."offset")
where s.acked and s.digest <> l.digest
