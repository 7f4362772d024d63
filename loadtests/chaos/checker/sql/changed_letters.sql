select concat_ws('/', d.topic, d."partition", d."offset") as subject,
       concat_ws(' ', 'the record is', coalesce(l.letter, l.type), 'and the dead letter', d.reason) as detail
from dead_letters d join logged l on (l."partition", l."offset") = (d."partition", d."offset")
where d.topic = $1 and (l.letter is distinct from d.reason or l.key is distinct from d.key)
