select concat_ws('/', $1::text, l."partition", l."offset") as subject, l.letter as detail
from logged l
where l.letter is not null and not exists (
    select from dead_letters d where d.topic = $1 and (d."partition", d."offset") = (l."partition", l."offset")
)
