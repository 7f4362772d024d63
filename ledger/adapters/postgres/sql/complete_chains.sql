-- Unless somebody lowered it since $2 was read: what was posted under an older time meanwhile was not looked at.
update chain_progress set complete_before = greatest(complete_before, $1) where complete_before = $2
