create function quantumflow.schedule_flow(
  schedule_slug text,
  workflow_slug text,
  cron          text,
  time_zone     text default 'UTC',
  input         jsonb default '{}',
  overlap       text default 'skip',
  catch_up      int default 1,
  jitter        interval default '0',
  priority      int default 0)
returns quantumflow.schedules
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $schedule_flow$
declare
  v_now      timestamptz := quantumflow._now();
  v_cron     quantumflow._cron := quantumflow._cron_of(schedule_flow.cron);
  v_timing   quantumflow._timing;
  v_coming   quantumflow._coming;
  v_schedule quantumflow.schedules;
begin
  perform quantumflow._refuse_bad_schedule(
    schedule_flow.schedule_slug, schedule_flow.overlap, schedule_flow.catch_up, schedule_flow.jitter);
  perform quantumflow._refuse_unknown_zone(schedule_flow.time_zone);

  if quantumflow._start_flaw(schedule_flow.priority, null, null) is not null then
    perform quantumflow._refuse_bad_start('priority', schedule_flow.priority, null, null);
  end if;

  perform quantumflow._hold_to_schedule(schedule_flow.workflow_slug, coalesce(schedule_flow.input, '{}'));

  v_timing := row(
    schedule_flow.schedule_slug, v_cron, schedule_flow.time_zone, quantumflow._as_seconds(schedule_flow.jitter))::quantumflow._timing;
  v_coming := quantumflow._coming(v_timing, v_now);

  loop
    insert into quantumflow.schedules
      (schedule_slug, workflow_slug, cron, time_zone, input, overlap, catch_up, jitter, priority, created_at, due_at, next_at)
    values (
      schedule_flow.schedule_slug, schedule_flow.workflow_slug, schedule_flow.cron, schedule_flow.time_zone,
      coalesce(schedule_flow.input, '{}'), schedule_flow.overlap, schedule_flow.catch_up, v_timing.jitter,
      schedule_flow.priority, v_now, v_coming.due_at, v_coming.next_at
    )
    on conflict do nothing
    returning *
    into v_schedule;

    exit when found;

    select *
    into v_schedule
    from quantumflow.schedules s
    where s.schedule_slug = schedule_flow.schedule_slug
    for update;

    -- Unless somebody has removed it meanwhile: then it is made.
    if found then
      return quantumflow._change_schedule(
        v_schedule, schedule_flow.workflow_slug, schedule_flow.cron, v_timing, coalesce(schedule_flow.input, '{}'),
        schedule_flow.overlap, schedule_flow.catch_up, schedule_flow.priority, v_coming, v_now);
    end if;
  end loop;

  perform quantumflow._record_act(
    'schedule_flow', v_now, v_schedule.workflow_slug, p_detail => jsonb_build_object('schedule', v_schedule.schedule_slug));

  return v_schedule;
end
$schedule_flow$;

comment on function quantumflow.schedule_flow(text, text, text, text, jsonb, text, int, interval, int) is
'Starts a workflow at certain times, from now on, and returns the schedule''s row. Any sweep, of a worker or of pg_cron, starts what is due.

schedule_slug: its name; a schedule of that name is changed: it keeps its times, what it did, and that it is paused. With the same
arguments nothing changes, so an application may call it whenever it begins.
workflow_slug: the workflow; each run is of the version that is current then.
cron, time_zone: when; see next_times, which shows the times.
input: what each run is started with, {} when left out. Headers of a run say which schedule started it, and for which time:
{"schedule": "nightly", "scheduled_at": "2030-01-31T01:30:00Z"}.
overlap: what happens when a time comes while the last run goes on, or is paused: skip it; allow both to run; queue it, so that it starts
when the last run has ended, where a later time takes the place of one that waits; or cancel the last run.
catch_up: 1 to 100. Of the times that came while nothing could be started, so many are made up for, the latest ones, however late; the rest is
counted as missed. What came while it was paused is neither.
jitter: 0 s to 1 day. Each run starts up to so much later, and before the next time, always the same for the same name and time.
priority: as for start_flow.

Each time starts one run, whoever sweeps, with the idempotency key _schedule:<schedule_slug>@<time in UTC>. In a copy of a database
nothing is started until adopt().

Errors: QF111 unknown workflow; QF203 it has no steps; QF204 it maps over its input and the input is no array; QF205 negative priority; QF217
the input is too large; QF220 a name, cron text, time zone, overlap, catch_up or jitter that is none; QF401 a queue is gone.';

create function quantumflow._refuse_bad_schedule(p_schedule_slug text, p_overlap text, p_catch_up int, p_jitter interval)
returns void
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_refuse_bad_schedule$
declare
  v_shown text;
  v_rule  text;
begin
  select s.shown, s.rule
  into v_shown, v_rule
  from (
    values
      (
        'schedule_slug', to_jsonb(p_schedule_slug), 'a letter, then letters, digits and underscores, at most 128',
        p_schedule_slug ~ '^[A-Za-z][A-Za-z0-9_]{0,127}$'),
      ('overlap', to_jsonb(p_overlap), 'skip, allow, queue or cancel', p_overlap in ('skip', 'allow', 'queue', 'cancel')),
      ('catch_up', to_jsonb(p_catch_up), 'how many times are made up for after an outage, 1 to 100', p_catch_up between 1 and 100),
      ('jitter', to_jsonb(p_jitter::text), 'an interval of 0 s to 1 day', extract(epoch from p_jitter) between 0 and 86400)
  ) a (name, value, rule, is_good)
  cross join lateral (select format('%s is %s', a.name, quantumflow._shown(a.value)), a.rule) s (shown, rule)
  where a.is_good is not true
  limit 1;

  if found then
    raise exception '%, which is none', v_shown
    using
      errcode = 'QF220',
      detail = format('It is to be %s.', v_rule),
      hint = 'For example: select quantumflow.schedule_flow(''nightly'', ''report'', ''30 2 * * *'', ''Europe/Berlin'').';
  end if;
end
$_refuse_bad_schedule$;

comment on function quantumflow._refuse_bad_schedule(text, text, int, interval) is
'Refuses what no schedule can be.

Errors: QF220.';

create function quantumflow._hold_to_schedule(p_workflow_slug text, p_input jsonb)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_hold_to_schedule$
begin
  -- Waits for whoever deletes it, and is waited for by whoever does from here on.
  perform
  from quantumflow.workflows w
  where w.workflow_slug = p_workflow_slug
  for key share;

  perform quantumflow._refuse_unfit(p_workflow_slug, quantumflow._read_start(p_workflow_slug, null), array[p_input], null);
  perform quantumflow._record_identity();
end
$_hold_to_schedule$;

comment on function quantumflow._hold_to_schedule(text, jsonb) is
'Holds a workflow that is there, so that it is not deleted, and refuses an input that its current version could not run with.

Errors: QF111, QF203, QF204, QF217, QF401 as schedule_flow.';

create function quantumflow._change_schedule(
  p_schedule      quantumflow.schedules,
  p_workflow_slug text,
  p_cron          text,
  p_timing        quantumflow._timing,
  p_input         jsonb,
  p_overlap       text,
  p_catch_up      int,
  p_priority      int,
  p_coming        quantumflow._coming,
  p_now           timestamptz)
returns quantumflow.schedules
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_change_schedule$
declare
  v_before   jsonb := to_jsonb(p_schedule);
  v_due_at   timestamptz := case
    when p_schedule.paused_at is not null then null
    -- A time that has come, and has not started yet, is not lost where the times are the same.
    when row(p_schedule.cron, p_schedule.time_zone, p_schedule.jitter) = row(p_cron, p_timing.time_zone, p_timing.jitter) then p_schedule.due_at
    else p_coming.due_at
  end;
  v_schedule quantumflow.schedules;
begin
  update quantumflow.schedules s
  set
    workflow_slug = p_workflow_slug,
    cron = p_cron,
    time_zone = p_timing.time_zone,
    input = p_input,
    overlap = p_overlap,
    catch_up = p_catch_up,
    jitter = p_timing.jitter,
    priority = p_priority,
    due_at = v_due_at,
    next_at = quantumflow._start_time(p_timing, v_due_at),
    problem = null
  where s.schedule_slug = p_schedule.schedule_slug
    and row(s.workflow_slug, s.cron, s.time_zone, s.input, s.overlap, s.catch_up, s.jitter, s.priority)
      <> row(p_workflow_slug, p_cron, p_timing.time_zone, p_input, p_overlap, p_catch_up, p_timing.jitter, p_priority)
  returning *
  into v_schedule;

  if not found then
    return p_schedule;
  end if;

  perform quantumflow._record_act(
    'schedule_flow', p_now, p_workflow_slug,
    p_detail => jsonb_build_object(
      'schedule', p_schedule.schedule_slug,
      'before', v_before - array[
        'schedule_slug', 'created_at', 'last_at', 'last_run_id', 'missed', 'missed_at', 'skipped', 'paused_at', 'due_at', 'next_at', 'problem'
      ]));

  return v_schedule;
end
$_change_schedule$;

comment on function quantumflow._change_schedule(
  quantumflow.schedules, text, text, quantumflow._timing, jsonb, text, int, int, quantumflow._coming, timestamptz) is
'Makes a schedule, which the caller holds, something else, if it is not that; its row then. p_coming: its next time, where the times are others.';
