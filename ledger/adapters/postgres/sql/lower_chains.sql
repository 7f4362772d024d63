-- What was posted at this time or later may have no link yet.
update chain_progress set complete_before = $1 where complete_before > $1
