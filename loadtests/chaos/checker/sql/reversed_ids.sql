select distinct tenant, lower(value::json #>> '{data,transaction}') as id from logged where type = 'transaction.reverse.v1'
