create type quantumflow.event as (
  at         timestamptz,
  what       text,
  step_slug  text,
  task_index int,
  attempt    int,
  who        text,
  detail     text
);

comment on type quantumflow.event is 'Something that happened to a run.';
comment on column quantumflow.event.at is 'When.';
comment on column quantumflow.event.what is
'"run", "step", "attempt" or "signal", and what became of it: run started, completed, failed, cancelled, paused; step started, completed,
failed, skipped; attempt started, completed, failed, timed out, lost, cancelled, undone; signal sent, taken.';
comment on column quantumflow.event.step_slug is 'The step; null of what happened to the whole run.';
comment on column quantumflow.event.task_index is 'The task, of an attempt.';
comment on column quantumflow.event.attempt is 'Which attempt.';
comment on column quantumflow.event.who is 'The worker, by its name, or its id where it is not registered; of a signal who sent it, and for whom as that claimed.';
comment on column quantumflow.event.detail is 'What was started, how long an attempt had waited, or what went wrong.';

create function quantumflow.timeline(run_id uuid)
returns setof quantumflow.event
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $timeline$
begin
  perform quantumflow.run_input(timeline.run_id);

  return query
  select (e.event).*
  from (
    select *
    from quantumflow._events_of_run(timeline.run_id)
    union all
    select *
    from quantumflow._events_of_steps(timeline.run_id)
    union all
    select *
    from quantumflow._events_of_attempts(timeline.run_id)
    union all
    select *
    from quantumflow._events_of_signals(timeline.run_id)
  ) e
  order by (e.event).at, e.place, e.step_index, (e.event).task_index, (e.event).attempt;
end
$timeline$;

comment on function quantumflow.timeline(uuid) is
'What happened to a run, in order: it, its steps and the attempts at its tasks, started and ended, and the signals that it was sent.

As far as its rows tell: a retry undoes how the run and its steps had ended, and of several pauses the last is known.

Errors: QF201 unknown run.';

create function quantumflow._events_of_run(p_run_id uuid)
returns table (event quantumflow.event, place int, step_index int)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_events_of_run$
begin
  return query
  select row(e.at, 'run ' || e.what, null, null, null, null, e.detail)::quantumflow.event, e.place, -1
  from quantumflow.workflow_runs r
  cross join lateral (
    values
      (
        r.created_at, 'started', 1,
        format('workflow %s, version %s', r.workflow_slug, r.version)
          || case when r.started_at > r.created_at then ', to begin at ' || r.started_at else '' end
      ),
      (r.paused_at, 'paused', 2, case when r.status <> 'paused' then 'and resumed, or ended, since' end),
      (r.completed_at, 'completed', 9, null),
      (r.failed_at, 'failed', 9, r.error_message),
      (r.cancelled_at, 'cancelled', 9, r.error_message)
  ) e (at, what, place, detail)
  where r.id = p_run_id
    and e.at is not null;
end
$_events_of_run$;

comment on function quantumflow._events_of_run(uuid) is
'timeline(): what happened to the run itself. place: which comes first of what happened in one instant.';

create function quantumflow._events_of_steps(p_run_id uuid)
returns table (event quantumflow.event, place int, step_index int)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_events_of_steps$
begin
  -- What ended made others start in the same instant; but a map of nothing ends as it starts.
  return query
  select row(e.at, 'step ' || e.what, s.step_slug, null, null, null, e.detail)::quantumflow.event, e.place, w.step_index
  from quantumflow.workflow_runs r
  join quantumflow.step_states s
    on s.run_id = r.id
  join quantumflow.workflow_steps w
    on (w.workflow_slug, w.version, w.step_slug) = (r.workflow_slug, r.version, s.step_slug)
  cross join lateral (
    values
      (s.started_at, 'started', 5, case when w.known_tasks is null and not w.repeats then format('%s tasks', s.initial_tasks) end),
      (
        s.completed_at, 'completed', case when s.completed_at = s.started_at then 6 else 4 end,
        case when w.repeats then format('after %s iterations', s.initial_tasks) end
      ),
      (s.failed_at, 'failed', case when s.failed_at = s.started_at then 6 else 4 end, s.error_message),
      (s.skipped_at, 'skipped', 5, 'because of its ' || case s.skip_reason when 'dependency' then 'dependencies' else 'condition' end)
  ) e (at, what, place, detail)
  where r.id = p_run_id
    and e.at is not null;
end
$_events_of_steps$;

comment on function quantumflow._events_of_steps(uuid) is
'timeline(): what happened to the steps. place: which comes first of what happened in one instant.';

create function quantumflow._events_of_attempts(p_run_id uuid)
returns table (event quantumflow.event, place int, step_index int)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_events_of_attempts$
begin
  return query
  select row(e.at, 'attempt ' || e.what, a.step_slug, a.task_index, a.attempt, a.worker, e.detail)::quantumflow.event, e.place, w.step_index
  from quantumflow._attempts(p_run_id) a
  join quantumflow.workflow_runs r
    on r.id = p_run_id
  join quantumflow.workflow_steps w
    on (w.workflow_slug, w.version, w.step_slug) = (r.workflow_slug, r.version, a.step_slug)
  cross join lateral (
    values
      (a.began_at, 'started', 7, case when a.began_at > a.due_at then 'after waiting for ' || (a.began_at - a.due_at) end),
      (
        a.ended_at,
        case a.kind when 'lost' then 'lost' when 'timeout' then 'timed out' else a.outcome end,
        case when a.ended_at = a.began_at then 8 else 3 end,
        a.error_message
      )
  ) e (at, what, place, detail)
  where e.at is not null;
end
$_events_of_attempts$;

comment on function quantumflow._events_of_attempts(uuid) is
'timeline(): when attempts began and ended. place: which comes first of what happened in one instant.';

create function quantumflow._events_of_signals(p_run_id uuid)
returns table (event quantumflow.event, place int, step_index int)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_events_of_signals$
begin
  return query
  select row(e.at, 'signal ' || e.what, g.step_slug, null, null, e.who, g.signal)::quantumflow.event, e.place, g.number
  from quantumflow.signals g
  cross join lateral (
    values
      (g.sent_at, 'sent', 2, concat_ws(' for ', g.sent_by, g.on_behalf_of)),
      (g.taken_at, 'taken', 3, null)
  ) e (at, what, place, who)
  where g.run_id = p_run_id
    and e.at is not null;
end
$_events_of_signals$;

comment on function quantumflow._events_of_signals(uuid) is
'timeline(): the signals of a run. place: which comes first of what happened in one instant.';
