create type quantumflow.past_event as (
  at            timestamptz,
  what          text,
  step_slug     text,
  task_index    int,
  attempt       int,
  who           text,
  detail        text,
  workflow_slug text,
  run_id        uuid
);

comment on type quantumflow.past_event is 'Something that happened, or that somebody did.';
comment on column quantumflow.past_event.at is 'When.';
comment on column quantumflow.past_event.what is
'What somebody did is the function that was called, cancel_run for example; what happened is as in timeline(): run started, attempt failed.';
comment on column quantumflow.past_event.step_slug is 'The step, if it was about one.';
comment on column quantumflow.past_event.task_index is 'The task, if it was about one.';
comment on column quantumflow.past_event.attempt is 'Which attempt.';
comment on column quantumflow.past_event.who is
'Who did it, and for whom, as that claimed; who started a run; the worker, by its name, or its id where it is not registered.';
comment on column quantumflow.past_event.detail is 'The reason that was given; what was overwritten; what went wrong.';
comment on column quantumflow.past_event.workflow_slug is 'The workflow.';
comment on column quantumflow.past_event.run_id is 'The run; it may be gone by now.';

create function quantumflow.history(
  since  timestamptz,
  until  timestamptz default null,
  run_id uuid default null)
returns setof quantumflow.past_event
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $history$
declare
  v_now      timestamptz := quantumflow._now();
  v_until    timestamptz := coalesce(history.until, 'infinity');
  v_run_ids  uuid[];
  v_workflow text;
begin
  if history.since is null and history.run_id is null then
    raise exception 'since must be a moment'
    using
      errcode = 'QF224',
      detail = 'It is null.',
      hint = 'For example: select * from quantumflow.history(now() - interval ''1 hour''). For all of a run''s past name the run.';
  end if;

  perform quantumflow._refuse_bad_window(history.since, history.until);

  if history.run_id is not null then
    -- What was done to a run is known when it is gone.
    select r.workflow_slug
    into v_workflow
    from quantumflow.workflow_runs r
    where r.id = history.run_id;

    if not found and not exists (select from quantumflow.audit_log a where a.run_id = history.run_id) then
      perform quantumflow._raise_unknown_run(history.run_id);
    end if;

    return query
    select e.*
    from (
      select *
      from quantumflow._acts_on_run(history.run_id)
      union all
      select t.at, t.what, t.step_slug, t.task_index, t.attempt, t.who, t.detail, v_workflow, history.run_id
      from quantumflow.timeline(history.run_id) t
      where v_workflow is not null
    ) e
    where e.at >= coalesce(history.since, '-infinity')
      and e.at < v_until
    order by e.at;

    return;
  end if;

  v_run_ids := quantumflow._find_runs(
    row(
      null, null, null, null, history.since - greatest(least(v_until, v_now) - history.since, interval '1 hour'), history.until, null, null, null,
      null, null, null, null, null, true),
    10000);

  return query
  select e.*
  from (
    select *
    from quantumflow._acts_between(history.since, v_until)
    union all
    select *
    from quantumflow._events_of_runs(v_run_ids, history.since, v_until)
  ) e
  where e.at >= history.since
    and e.at < v_until
  order by e.at, e.run_id;
end
$history$;

comment on function quantumflow.history(timestamptz, timestamptz, uuid) is
'What happened, and what people did, from since to before until, in order; until left out: until now.

Of a run: all that timeline() tells, and what was done to it, also when the run is gone by now; since may be null. Of all of them: what people did, as
audit_log has it, and how runs began and ended and which attempts failed, of the 10,000 latest that were created in that time, or before it by as long again, and by an
hour at the least: that one that had gone on for longer ended in that time is not told.

Errors: QF201 a run of which nothing is known; QF224 no since, or an until that is not after it.';

create function quantumflow._acts_on_run(p_run_id uuid)
returns setof quantumflow.past_event
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_acts_on_run$
begin
  return query
  select (quantumflow._as_event(a)).*
  from quantumflow.audit_log a
  where a.run_id = p_run_id;
end
$_acts_on_run$;

comment on function quantumflow._acts_on_run(uuid) is 'history(): what people did to a run.';

create function quantumflow._acts_between(p_since timestamptz, p_until timestamptz)
returns setof quantumflow.past_event
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_acts_between$
begin
  return query
  select (quantumflow._as_event(a)).*
  from quantumflow.audit_log a
  where a.at >= p_since
    and a.at < p_until;
end
$_acts_between$;

comment on function quantumflow._acts_between(timestamptz, timestamptz) is 'history(): what people did in a time.';

create function quantumflow._as_event(p_act quantumflow.audit_log)
returns quantumflow.past_event
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_as_event$
begin
  return row(
    p_act.at, p_act.what, p_act.step_slug, p_act.task_index, null, concat_ws(' for ', p_act.actor, p_act.on_behalf_of),
    nullif(concat_ws('; ', p_act.reason, nullif(p_act.detail, '{}')), ''), p_act.workflow_slug, p_act.run_id)::quantumflow.past_event;
end
$_as_event$;

comment on function quantumflow._as_event(quantumflow.audit_log) is 'history(): an entry of audit_log.';

create function quantumflow._events_of_runs(p_run_ids uuid[], p_since timestamptz, p_until timestamptz)
returns setof quantumflow.past_event
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_events_of_runs$
begin
  return query
  select e.at, e.what, e.step_slug, e.task_index, e.attempt, e.who, e.detail, r.workflow_slug::text, r.id
  from unnest(p_run_ids) u (run_id)
  -- Of what had ended before, its callback may have failed later.
  cross join lateral (
    select *
    from quantumflow.workflow_runs l
    where l.id = u.run_id
      and l.created_at < p_until
      and (
        coalesce(l.completed_at, l.failed_at, l.cancelled_at, 'infinity') >= p_since
        or exists (select from quantumflow.task_failures f where f.run_id = l.id and f.ended_at >= p_since)
      )
    limit 1
  ) r
  cross join lateral (
    select k.at, k.what, null::text as step_slug, null::int as task_index, null::int as attempt, k.who, k.detail
    from (
      values
        (r.created_at, 'run started', concat_ws(' by ', r.started_by, r.origin), format('version %s', r.version)),
        (r.completed_at, 'run completed', null, case when r.gave_up > 0 then format('gave up %s', r.gave_up) end),
        (r.failed_at, 'run failed', null, r.error_message),
        (r.cancelled_at, 'run cancelled', null, r.error_message)
    ) k (at, what, who, detail)
    where k.at is not null
    union all
    select
      f.ended_at, 'attempt ' || case f.kind when 'lost' then 'lost' when 'timeout' then 'timed out' else 'failed' end,
      f.step_slug, f.task_index, f.attempt, coalesce(w.name, f.worker_id::text), f.error_message
    from quantumflow.task_failures f
    left join quantumflow.workers w
      on w.worker_id = f.worker_id
    where f.run_id = r.id
  ) e;
end
$_events_of_runs$;

comment on function quantumflow._events_of_runs(uuid[], timestamptz, timestamptz) is
'history(): how runs began and ended, and which attempts failed, of those of the runs of which anything was between these moments.';
