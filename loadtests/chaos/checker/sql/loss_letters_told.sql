select concat_ws('/', d.topic, d."partition", d."offset") as subject, d.reason as detail
from dead_letters d
where d.topic = $1 and not exists (
    select from told_letters s where (s."partition", s."offset") = (d."partition", d."offset")
)
