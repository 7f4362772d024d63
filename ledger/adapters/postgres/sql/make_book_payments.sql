create temporary table book_payments (
    event_id uuid not null,
    tenant_id int not null,
    version int not null,
    asset text not null,
    charged boolean not null,
    refunded boolean not null,
    captured bigint
) on commit drop
