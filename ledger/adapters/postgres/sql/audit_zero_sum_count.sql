select count(*) from transactions
