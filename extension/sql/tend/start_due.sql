-- The schedules whose time has come. Whoever calls this starts them; nobody waits for anybody.

create function quantumflow._start_due_schedules(p_now timestamptz, p_most int default 100)
returns int
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_start_due_schedules$
declare
  v_schedule quantumflow.schedules;
  v_started  int := 0;
begin
  -- One look at the index, which is empty where there are no schedules.
  if not exists (select from quantumflow.schedules s where s.next_at <= p_now) or quantumflow._is_copy() then
    return 0;
  end if;

  for v_schedule in
    select *
    from quantumflow.schedules s
    where s.next_at <= p_now
    order by s.next_at
    limit p_most
    for update skip locked
  loop
    v_started := v_started + quantumflow._try_schedule(v_schedule, p_now);
  end loop;

  return v_started;
end
$_start_due_schedules$;

comment on function quantumflow._start_due_schedules(timestamptz, int) is
'Starts the runs of schedules that are due, of p_most schedules at most, those that have been due longest; how many it started. Schedules that
others hold are left to them. In a copy of a database it starts none.';

create function quantumflow._next_schedule(p_now timestamptz)
returns timestamptz
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_next_schedule$
begin
  return (
    select greatest(s.next_at, p_now)
    from quantumflow.schedules s
    where s.next_at is not null
      and not quantumflow._is_copy()
    order by s.next_at
    limit 1
  );
end
$_next_schedule$;

comment on function quantumflow._next_schedule(timestamptz) is
'When the next schedule is due: p_now, if one is; null when there is none, or in a copy of a database.';

create function quantumflow._try_schedule(p_schedule quantumflow.schedules, p_now timestamptz)
returns int
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_try_schedule$
declare
  v_detail text;
begin
  return quantumflow._start_schedule(p_schedule, p_now);
exception
  when others then
    -- These are none of the schedule's: the whole call is to be made again.
    if quantumflow._is_of_the_call(sqlstate) then
      raise;
    end if;

    get stacked diagnostics v_detail = pg_exception_detail;

    update quantumflow.schedules s
    set
      next_at = p_now + interval '1 min',
      problem = quantumflow._cut(format('%s (%s)', concat_ws(': ', sqlerrm, nullif(v_detail, '')), sqlstate))
    where s.schedule_slug = p_schedule.schedule_slug;

    return 0;
end
$_try_schedule$;

comment on function quantumflow._try_schedule(quantumflow.schedules, timestamptz) is
'Starts the runs that a schedule is due, or writes down why it could not, and tries again after a minute: so it harms no other.';

create function quantumflow._start_schedule(p_schedule quantumflow.schedules, p_now timestamptz)
returns int
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_start_schedule$
declare
  v_timing   quantumflow._timing := quantumflow._timing_of(p_schedule);
  v_due      quantumflow._due_times := quantumflow._due_times(p_schedule, v_timing, p_now);
  -- Of times that wait for the last run, one takes the place of another: what is missed then was skipped.
  v_waited   boolean := p_schedule.overlap = 'queue' and p_schedule.problem is null
    and p_schedule.next_at > quantumflow._start_time(v_timing, p_schedule.due_at);
  v_missed   bigint := case when v_waited then 0 else v_due.missed end;
  v_skipped  bigint := v_due.missed - v_missed;
  v_run_id   uuid := p_schedule.last_run_id;
  v_last_at  timestamptz := p_schedule.last_at;
  v_waits_at timestamptz;
  v_at       timestamptz;
  v_started  int := 0;
begin
  if not quantumflow._may_start(p_schedule.workflow_slug) then
    v_waits_at := v_due.times[1];
  else
    foreach v_at in array v_due.times loop
      if p_schedule.overlap = 'allow' or quantumflow._make_way(v_run_id, p_schedule, p_now) then
        v_run_id := quantumflow._start_for(p_schedule, v_at);
        v_last_at := v_at;
        v_started := v_started + 1;
      elsif p_schedule.overlap = 'skip' then
        v_skipped := v_skipped + 1;
      else
        v_waits_at := v_at;
        exit;
      end if;
    end loop;
  end if;

  update quantumflow.schedules s
  set
    last_at = v_last_at,
    last_run_id = v_run_id,
    missed = s.missed + v_missed,
    missed_at = case when v_missed > 0 then p_now else s.missed_at end,
    skipped = s.skipped + v_skipped,
    due_at = coalesce(v_waits_at, v_due.next),
    next_at = case
      when v_waits_at is not null then p_now + interval '1 s'
      else quantumflow._start_time(v_timing, v_due.next)
    end,
    problem = null
  where s.schedule_slug = p_schedule.schedule_slug;

  return v_started;
end
$_start_schedule$;

comment on function quantumflow._start_schedule(quantumflow.schedules, timestamptz) is
'Starts the runs that a schedule, which the caller holds, is due, and sets its next time. What waits for the last run, or for somebody who holds
that or the workflow, is looked at again after a second. How many it started.

Errors: as start_flow.';

create function quantumflow._make_way(p_run_id uuid, p_schedule quantumflow.schedules, p_now timestamptz)
returns boolean
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_make_way$
declare
  v_run quantumflow.workflow_runs;
begin
  if not exists (
    select
    from quantumflow.workflow_runs r
    where r.id = p_run_id
      and r.status in ('started', 'paused')
  ) then
    return true;
  end if;

  if p_schedule.overlap <> 'cancel' then
    return false;
  end if;

  select *
  into v_run
  from quantumflow.workflow_runs r
  where r.id = p_run_id
  for update skip locked;

  if v_run.status in ('started', 'paused') then
    perform quantumflow._cancel(
      v_run, format('schedule "%s" started the next run', p_schedule.schedule_slug), p_now);
  end if;

  return v_run.id is not null;
end
$_make_way$;

comment on function quantumflow._make_way(uuid, quantumflow.schedules, timestamptz) is
'Whether a run, the last of a schedule, has ended, so that the next may start; where it is to be cancelled, that is done, unless somebody holds it.';

create function quantumflow._start_for(p_schedule quantumflow.schedules, p_due_at timestamptz)
returns uuid
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_start_for$
declare
  v_key text := quantumflow._schedule_key(p_schedule.schedule_slug, p_due_at);
begin
  -- It was started already, if the schedule was removed and made anew, say.
  return coalesce(
    (quantumflow._start_runs(
      p_schedule.workflow_slug, null, array[quantumflow._uuid_v7()], array[p_schedule.input], p_schedule.priority, null, v_key,
      jsonb_build_object(
        'schedule', p_schedule.schedule_slug,
        'scheduled_at', quantumflow._utc_text(p_due_at)),
      false, p_origin => 'schedule:' || p_schedule.schedule_slug))[1],
    quantumflow._run_of_key(p_schedule.workflow_slug, v_key));
end
$_start_for$;

comment on function quantumflow._start_for(quantumflow.schedules, timestamptz) is
'Starts the run of a schedule for a time, if it was not; its id.

Errors: as start_flow.';

create function quantumflow._pass_over_due(p_now timestamptz)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_pass_over_due$
declare
  v_schedule quantumflow.schedules;
  v_coming   quantumflow._coming;
begin
  for v_schedule in
    select *
    from quantumflow.schedules s
    where s.next_at <= p_now
    order by s.schedule_slug
    for update
  loop
    begin
      v_coming := quantumflow._coming(quantumflow._timing_of(v_schedule), p_now);

      update quantumflow.schedules s
      set
        due_at = v_coming.due_at,
        next_at = v_coming.next_at
      where s.schedule_slug = v_schedule.schedule_slug;
    exception
      -- A zone that this server does not know, for one: the next sweep says so.
      when data_exception or sqlstate 'QF220' then
        null;
    end;
  end loop;
end
$_pass_over_due$;

comment on function quantumflow._pass_over_due(timestamptz) is
'Lets what schedules are due pass, without a run, and without counting it.';
