create temporary table book_lines (
    number bigint not null,
    key text not null,
    kind text not null,
    tenant text not null,
    payment text not null,
    event_id uuid,
    amount bigint not null,
    asset text not null,
    state text not null,
    named text not null
) on commit drop
