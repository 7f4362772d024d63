-- The second fence: whatever code writes entries, each statement must leave every transaction balanced.
create function refuse_unbalanced() returns trigger language plpgsql as $$
declare
    broken record;
begin
    select event_id, asset, sum(amount) as off_by into broken
    from fresh group by tenant_id, event_id, asset having sum(amount) <> 0 limit 1;
    if found then
        raise exception 'transaction % does not sum to zero: % of % too much',
            broken.event_id, broken.off_by, broken.asset using errcode = 'check_violation';
    end if;
    return null;
end $$
--;
create trigger entries_balance after insert on entries
    referencing new table as fresh for each statement execute function refuse_unbalanced()
--;
create function refuse_change() returns trigger language plpgsql as $$
begin
    raise exception '% is append-only: % is refused', tg_table_name, tg_op
        using errcode = 'insufficient_privilege', hint = 'Post a reversal.';
end $$
--;
create trigger entries_are_final before update or delete or truncate on entries
    for each statement execute function refuse_change()
--;
create trigger transactions_are_final before update or delete or truncate on transactions
    for each statement execute function refuse_change()
