select count(*) from balances
