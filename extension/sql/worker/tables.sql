create table quantumflow.workers (
  worker_id    uuid not null,
  name         text,
  commands     text[],
  queues       text[],
  started_at   timestamptz not null,
  last_seen_at timestamptz not null,
  stopped_at   timestamptz,
  host         text,
  pid          int,
  version      text,
  slots        int,
  running      int,
  oldest       jsonb,
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
comment on column quantumflow.workers.host is 'The machine it is on; null where it does not say.';
comment on column quantumflow.workers.pid is 'Its process on that machine.';
comment on column quantumflow.workers.version is 'The version of its client.';
comment on column quantumflow.workers.slots is 'How many tasks it may have at once.';
comment on column quantumflow.workers.running is 'How many it had when it registered last.';
comment on column quantumflow.workers.oldest is
'Those it had had longest then, five at most: an array of {"run_id", "step_slug", "task_index", "since"}.';

create table quantumflow.pauses (
  kind         text not null,
  name         text not null collate "C",
  paused_at    timestamptz not null,
  paused_by    text not null,
  on_behalf_of text,
  reason       text,
  constraint pauses_pkey primary key (kind, name),
  constraint pauses_kind_known check (kind in ('queue', 'workflow', 'command'))
);

comment on table quantumflow.pauses is
'One row per queue, flow or command of which nothing is handed out: see pause_queue, pause_flow and pause_command.';
comment on column quantumflow.pauses.kind is 'queue, workflow or command.';
comment on column quantumflow.pauses.name is 'The name of the queue or command, the slug of the workflow.';
comment on column quantumflow.pauses.paused_at is 'Since when.';
comment on column quantumflow.pauses.paused_by is 'The role of SET ROLE, else the one that connected.';
comment on column quantumflow.pauses.on_behalf_of is 'For whom, as the session claims by setting quantumflow.actor.';
comment on column quantumflow.pauses.reason is 'Why, as the caller said.';
