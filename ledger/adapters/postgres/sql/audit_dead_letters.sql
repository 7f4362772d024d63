select "offset", value from dead_letters where topic = $1 and "partition" = $2 and "offset" >= $3 and "offset" < $4
