create table quantumflow.workers (
  worker_id    uuid not null,
  name         text,
  commands     text[],
  queues       text[],
  started_at   timestamptz not null,
  last_seen_at timestamptz not null,
  stopped_at   timestamptz,
  constraint workers_pkey primary key (worker_id)
);

comment on table quantumflow.workers is 'Who has been working. Informative: a worker may claim without a row.';
comment on column quantumflow.workers.worker_id is 'The id the worker claims with.';
comment on column quantumflow.workers.name is 'A name for people: host and process, say.';
comment on column quantumflow.workers.commands is 'The commands it has handlers for; null: any.';
comment on column quantumflow.workers.queues is 'The queues it serves.';
comment on column quantumflow.workers.started_at is 'When it registered.';
comment on column quantumflow.workers.last_seen_at is 'When it last claimed, extended a lease or registered, to a few seconds.';
comment on column quantumflow.workers.stopped_at is 'When it said that it stopped.';
