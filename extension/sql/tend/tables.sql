create table quantumflow.schedules (
  schedule_slug text collate "C" not null,
  workflow_slug text collate "C" not null,
  cron          text not null,
  time_zone     text not null,
  input         jsonb not null,
  overlap       text not null,
  catch_up      int not null,
  jitter        interval not null,
  priority      int not null,
  created_at    timestamptz not null,
  last_at       timestamptz,
  last_run_id   uuid,
  missed        bigint not null default 0,
  missed_at     timestamptz,
  skipped       bigint not null default 0,
  paused_at     timestamptz,
  due_at        timestamptz,
  next_at       timestamptz,
  problem       text,
  constraint schedules_pkey primary key (schedule_slug),
  constraint schedules_slug_well_formed check (schedule_slug ~ '^[A-Za-z][A-Za-z0-9_]{0,127}$'),
  constraint schedules_overlap_known check (overlap in ('skip', 'allow', 'queue', 'cancel')),
  constraint schedules_catch_up_in_range check (catch_up between 1 and 100),
  constraint schedules_jitter_in_range check (jitter between '0 s' and '1 day'),
  constraint schedules_priority_not_negative check (priority >= 0),
  constraint schedules_counts_not_negative check (missed >= 0 and skipped >= 0),
  constraint schedules_due_unless_paused check (num_nonnulls(due_at, next_at) = case when paused_at is null then 2 else 0 end)
);

create index schedules_next_at on quantumflow.schedules (next_at)
  where next_at is not null;

comment on table quantumflow.schedules is
'One row per schedule: which workflow is started when. See schedule_flow.';
comment on column quantumflow.schedules.schedule_slug is
'The name: a letter, then letters, digits and underscores, at most 128.';
comment on column quantumflow.schedules.workflow_slug is 'The workflow; each run is of the version that is current when it starts.';
comment on column quantumflow.schedules.cron is 'When, as it was given: minute, hour, day of month, month, weekday.';
comment on column quantumflow.schedules.time_zone is 'The zone whose clocks cron is about.';
comment on column quantumflow.schedules.input is 'What each run is started with.';
comment on column quantumflow.schedules.overlap is
'What happens when a time comes while the last run goes on: skip, allow, queue or cancel.';
comment on column quantumflow.schedules.catch_up is
'How many of the times that came while nothing could be started are made up for, the latest ones; 1 to 100.';
comment on column quantumflow.schedules.jitter is 'How much later than its time a run starts at most; 0 s to 1 day.';
comment on column quantumflow.schedules.priority is 'Seconds by which the tasks of its runs overtake those of priority 0.';
comment on column quantumflow.schedules.created_at is 'When it was made.';
comment on column quantumflow.schedules.last_at is 'The time of the last run: when it was to start, without jitter.';
comment on column quantumflow.schedules.last_run_id is 'The last run; it may be gone by now.';
comment on column quantumflow.schedules.missed is
'How many times came and went while nothing could be started, or nobody swept, and were not made up for. Around a change of clocks the
count of a long outage is that of the clock on the wall.';
comment on column quantumflow.schedules.missed_at is 'When some were found missed last.';
comment on column quantumflow.schedules.skipped is 'How many times came while the last run went on, and started nothing.';
comment on column quantumflow.schedules.paused_at is 'Since when it is paused; null while it is not.';
comment on column quantumflow.schedules.due_at is 'The next time, as cron says; null while paused.';
comment on column quantumflow.schedules.next_at is
'When it is to be looked at next: due_at and jitter, or later where it could not start or waits. Null while paused.';
comment on column quantumflow.schedules.problem is 'Why it could not start a run when it was last to; null when it could.';
