create type quantumflow.schedule_summary as (
  schedule_slug text,
  workflow_slug text,
  cron          text,
  time_zone     text,
  next_at       timestamptz,
  last_at       timestamptz,
  last_run_id   uuid,
  last_status   text,
  missed        bigint,
  paused_at     timestamptz,
  problem       text,
  skipped       bigint
);

comment on type quantumflow.schedule_summary is 'What a schedule does, and how it is doing.';
comment on column quantumflow.schedule_summary.schedule_slug is 'Its name.';
comment on column quantumflow.schedule_summary.workflow_slug is 'The workflow that it starts.';
comment on column quantumflow.schedule_summary.cron is 'When.';
comment on column quantumflow.schedule_summary.time_zone is 'By which clocks.';
comment on column quantumflow.schedule_summary.next_at is
'When it starts the next run, jitter included; where it could not, or waits for the last run, when it tries again. Null while it is paused.';
comment on column quantumflow.schedule_summary.last_at is 'The time for which it started the last run.';
comment on column quantumflow.schedule_summary.last_run_id is 'The last run.';
comment on column quantumflow.schedule_summary.last_status is 'The status of that; null where there is none, or it is gone.';
comment on column quantumflow.schedule_summary.missed is
'How many times came and went while nothing could be started, or nobody swept, and were not made up for.';
comment on column quantumflow.schedule_summary.paused_at is 'Since when it is paused; null while it is not.';
comment on column quantumflow.schedule_summary.problem is 'Why it starts nothing; null when nothing is wrong.';
comment on column quantumflow.schedule_summary.skipped is 'How many times came while the last run went on, and started nothing.';

create function quantumflow.list_schedules(workflow_slug text default null)
returns setof quantumflow.schedule_summary
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $list_schedules$
declare
  v_copy text := case when quantumflow._is_copy() then 'this database is a copy of another: nothing starts until adopt()' end;
begin
  return query
  select
    s.schedule_slug, s.workflow_slug, s.cron, s.time_zone, s.next_at, s.last_at, s.last_run_id, r.status, s.missed, s.paused_at,
    coalesce(v_copy, s.problem), s.skipped
  from quantumflow.schedules s
  left join quantumflow.workflow_runs r
    on r.id = s.last_run_id
  where list_schedules.workflow_slug is null
    or s.workflow_slug = list_schedules.workflow_slug
  order by s.next_at nulls last, s.schedule_slug;
end
$list_schedules$;

comment on function quantumflow.list_schedules(text) is
'The schedules, of one workflow or all, that which comes next first and those that are paused last. An unknown workflow has none.

Errors: none.';
