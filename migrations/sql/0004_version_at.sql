-- How many entries a balance had at a time: the largest version posted at or before it, 0 for none. posted_at never
-- goes back from one version to the next, so a binary search over the primary key finds it, and entries need no
-- index by time, which every posting would pay for.
create function version_at(of_tenant int, of_balance bigint, moment timestamptz) returns bigint
language plpgsql stable parallel safe as $$
declare
    low bigint := 0;
    high bigint;
    middle bigint;
    posted timestamptz;
begin
    select b.version, b.last_posted_at into high, posted
    from balances b where b.tenant_id = of_tenant and b.balance_id = of_balance;
    if high is null or posted <= moment then
        return coalesce(high, 0);
    end if;
    while low < high loop
        middle := (low + high + 1) / 2;
        select e.posted_at into strict posted
        from entries e where e.tenant_id = of_tenant and e.balance_id = of_balance and e.version = middle;
        if posted <= moment then
            low := middle;
        else
            high := middle - 1;
        end if;
    end loop;
    return low;
end $$
--;
revoke all on function version_at from public
--;
grant execute on function version_at to ledger_worker, ledger_api
