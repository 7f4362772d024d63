-- A record without an acknowledgement may be in the log, more than once with some producers; the ledger's own voids,
-- captures and legs nobody sent.
select concat_ws('/', $1::text, l."partition", l."offset") as subject, coalesce(l.type, l.letter) as detail
from logged l
where exists (select from sent)
  and not exists (select from sent s where (s."partition", s."offset") = (l."partition", l."offset") and s.acked)
  and not exists (select from sent s where s.digest = l.digest and not s.acked)
  and coalesce(l.source, '') <> 'ledger' and coalesce(l.source, '') not like 'ledger/%'
