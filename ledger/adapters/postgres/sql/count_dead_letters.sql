select count(*) as letters,
       count(*) filter (where not exists (
           select from dead_letter_actions a
           where a.topic = l.topic and a."partition" = l."partition" and a."offset" = l."offset")) as open
from dead_letters l
