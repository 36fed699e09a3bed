create type quantumflow.goal_event as (
  event_id  uuid,
  at        timestamptz,
  kind      text,
  run_id    uuid,
  goal_id   uuid,
  step_slug text,
  data      jsonb
);

comment on type quantumflow.goal_event is 'A row of recent_events().';
comment on column quantumflow.goal_event.event_id is 'The same whenever it is told; later events sort later.';
comment on column quantumflow.goal_event.at is 'When.';
comment on column quantumflow.goal_event.kind is
'decomposition_started, decomposition_completed, decomposition_failed; execution_started, execution_completed, execution_failed, execution_cancelled; task_started,
task_completed, task_failed, task_retried.';
comment on column quantumflow.goal_event.run_id is 'The run.';
comment on column quantumflow.goal_event.goal_id is 'The goal whose run it is, if it is one''s.';
comment on column quantumflow.goal_event.step_slug is 'The step, of task_ events.';
comment on column quantumflow.goal_event.data is 'What else there is to say: {"error": ...} of what failed.';

create function quantumflow.recent_events(
  kinds      text[] default null,
  run_id     uuid default null,
  since      timestamptz default null,
  max_events int default 100)
returns setof quantumflow.goal_event
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $recent_events$
declare
  v_kinds   text[] := quantumflow._event_kinds();
  v_unknown text := (select u.kind from unnest(recent_events.kinds) u (kind) where u.kind <> all (v_kinds) or u.kind is null limit 1);
begin
  if recent_events.max_events is null or recent_events.max_events not between 1 and 10000 then
    raise exception 'max_events must be between 1 and 10000'
    using
      errcode = 'QF211',
      detail = format('It is %s.', coalesce(recent_events.max_events::text, 'null')),
      hint = 'Leave it out for 100.';
  end if;

  if v_unknown is not null then
    raise exception 'there are no events of kind "%"', left(v_unknown, 80)
    using
      errcode = 'QF212',
      detail = format('There are %s.', array_to_string(v_kinds, ', ')),
      hint = 'Leave kinds out for all of them.';
  end if;

  if quantumflow._orchestrator_value('notifications.enabled') = 'false' then
    return;
  end if;

  return query
  select e.*
  from quantumflow._events_since(recent_events.run_id, recent_events.since) e
  where (recent_events.kinds is null or e.kind = any (recent_events.kinds))
    and (recent_events.since is null or e.at >= recent_events.since)
  order by e.event_id desc
  limit recent_events.max_events;
end
$recent_events$;

comment on function quantumflow.recent_events(text[], uuid, timestamptz, int) is
'What happened to goals, runs and their tasks, the latest first: as the rows tell, so that none is lost, and none is written.

kinds: only these, as goal_event says; null: all. run_id: only of this run; else of the 1,000 runs and the 1,000 goals that began last. since: not before then.
max_events: 1 to 10,000. A retry undoes how a run and its steps had ended; with a run its events are deleted. Nothing while notifications.enabled is off.

Errors: QF211 bad max_events; QF212 unknown kind.';

create function quantumflow._event_kinds()
returns text[]
language sql
immutable
return array[
  'decomposition_started', 'decomposition_completed', 'decomposition_failed', 'execution_started', 'execution_completed', 'execution_failed',
  'execution_cancelled', 'task_started', 'task_completed', 'task_failed', 'task_retried'];

comment on function quantumflow._event_kinds() is 'The kinds of events that recent_events tells.';

create function quantumflow._events_since(p_run_id uuid, p_since timestamptz)
returns setof quantumflow.goal_event
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_events_since$
begin
  return query
  select v.*
  from (
    select *
    from quantumflow.goals l
    where p_run_id is null or l.run_id = p_run_id
    order by l.goal_id desc
    limit 1000
  ) g
  cross join lateral (
    values
      ('decomposition_started', g.created_at),
      (case when g.failed_at is null then 'decomposition_completed' else 'decomposition_failed' end,
        case
          when g.failed_at is not null then g.failed_at
          when not g.is_planning and g.cancelled_at is null then coalesce(quantumflow._ended_at(g.plan_run_id), g.created_at)
        end)
  ) e (kind, at)
  cross join lateral quantumflow._goal_event(
    e.at, e.kind, g.run_id, g.goal_id, null, case when e.kind = 'decomposition_failed' then g.error_message end) v
  where e.at is not null;

  return query
  select v.*
  from (
    select l.id
    from quantumflow.workflow_runs l
    where p_run_id is null or l.id = p_run_id
    order by l.id desc
    limit 1000
  ) r
  left join lateral (
    select l.goal_id
    from quantumflow.goals l
    where l.run_id = r.id
    limit 1
  ) g on true
  cross join lateral (
    select l.event
    from quantumflow._events_of_run(r.id) l
    union all
    select l.event
    from quantumflow._events_of_steps(r.id) l
    union all
    select l.event
    from quantumflow._events_of_attempts(r.id) l
  ) e
  cross join lateral (
    select l.kind
    from quantumflow._kind_of_event((e.event).what) l (kind)
    where l.kind is not null
      -- The attempt that was the last one is its step's failure.
      and not (
        l.kind = 'task_retried'
        and exists (
          select
          from quantumflow.step_states s
          where (s.run_id, s.step_slug) = (r.id, (e.event).step_slug)
            and s.failed_at = (e.event).at
        )
      )
  ) k
  cross join lateral quantumflow._goal_event(
    (e.event).at, k.kind, r.id, g.goal_id, (e.event).step_slug,
    case when k.kind in ('execution_failed', 'execution_cancelled', 'task_failed', 'task_retried') then (e.event).detail end) v;
end
$_events_since$;

comment on function quantumflow._events_since(uuid, timestamptz) is
'The events of a run, or of the latest ones and of the latest goals, in no order.';

create function quantumflow._kind_of_event(p_what text)
returns text
language sql
immutable
return case p_what
  when 'run started' then 'execution_started'
  when 'run completed' then 'execution_completed'
  when 'run failed' then 'execution_failed'
  when 'run cancelled' then 'execution_cancelled'
  when 'step started' then 'task_started'
  when 'step completed' then 'task_completed'
  when 'step failed' then 'task_failed'
  when 'attempt failed' then 'task_retried'
  when 'attempt timed out' then 'task_retried'
  when 'attempt lost' then 'task_retried'
end;

comment on function quantumflow._kind_of_event(text) is 'The kind of what timeline() tells; null of what is no event.';

create function quantumflow._goal_event(
  p_at        timestamptz,
  p_kind      text,
  p_run_id    uuid,
  p_goal_id   uuid,
  p_step_slug text,
  p_error     text)
returns quantumflow.goal_event
language sql
immutable
return row(
  encode(
    overlay(
      decode(md5(concat_ws('/', p_kind, p_run_id, p_goal_id, p_step_slug, extract(epoch from p_at))), 'hex')
      placing int8send((extract(epoch from p_at) * 1000000)::bigint / 1000 << 16 | 28672 | ((extract(epoch from p_at) * 1000000)::bigint % 1000 * 4096 / 1000))
      from 1 for 8),
    'hex')::uuid,
  p_at, p_kind, p_run_id, p_goal_id, p_step_slug, case when p_error is null then '{}' else jsonb_build_object('error', p_error) end
)::quantumflow.goal_event;

comment on function quantumflow._goal_event(timestamptz, text, uuid, uuid, text, text) is
'An event, with an id that is made of it: of the moment, as in a version 7 uuid, and of what it is.';
