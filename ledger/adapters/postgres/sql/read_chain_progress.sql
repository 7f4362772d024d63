-- The mark of a first sweep that has not ended says nothing.
select complete_before from chain_progress where complete_before > '1970-01-01 00:00+00'
