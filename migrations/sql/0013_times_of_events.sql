alter table processed_events alter column posted_at drop not null
--;
comment on column processed_events.posted_at is 'when it was decided; null: when its transaction was posted'
