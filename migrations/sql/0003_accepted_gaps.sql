-- Records that were lost before they were posted, from first_offset to before next_offset.
create table accepted_gaps (
    topic text not null,
    "partition" int not null,
    first_offset bigint not null,
    next_offset bigint not null check (next_offset > first_offset),
    why text not null,
    done_by text not null,
    at timestamptz not null,
    primary key (topic, "partition", first_offset)
)
--;
grant select, insert on accepted_gaps to ledger_worker
