alter table processed_events alter column posted_at drop not null
--;
comment on column processed_events.posted_at is
    'when it was decided, by the clock; null where its transaction says so: it was posted at that time'
