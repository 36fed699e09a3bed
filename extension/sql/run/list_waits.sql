create type quantumflow.open_wait as (
  run_id          uuid,
  workflow_slug   text,
  step_slug       text,
  signals         text[],
  since           timestamptz,
  until           timestamptz,
  idempotency_key text,
  headers         jsonb,
  input           jsonb
);

comment on type quantumflow.open_wait is 'A step that waits for a signal.';
comment on column quantumflow.open_wait.run_id is 'The run.';
comment on column quantumflow.open_wait.workflow_slug is 'The workflow.';
comment on column quantumflow.open_wait.step_slug is 'The step.';
comment on column quantumflow.open_wait.signals is 'The signals of which it waits for one.';
comment on column quantumflow.open_wait.since is 'Since when it waits.';
comment on column quantumflow.open_wait.until is 'Until when it waits at most; null: for ever.';
comment on column quantumflow.open_wait.idempotency_key is 'The key with which the run was started, if any.';
comment on column quantumflow.open_wait.headers is 'The headers of the run.';
comment on column quantumflow.open_wait.input is 'What the step is given, {"run", <dependency>: output}, if it was asked for.';

create function quantumflow.list_waits(
  workflow_slug text default null,
  signal        text default null,
  max_runs      int default 100,
  with_input    boolean default false)
returns setof quantumflow.open_wait
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $list_waits$
declare
  v_queue text := quantumflow._system_queue();
begin
  if list_waits.max_runs is null or list_waits.max_runs not between 1 and 10000 then
    raise exception 'max_runs must be between 1 and 10000'
    using
      errcode = 'QF211',
      detail = format('It is %s.', coalesce(list_waits.max_runs::text, 'null')),
      hint = 'Leave it out for 100.';
  end if;

  if quantumflow._hold_queue(v_queue) is null then
    return;
  end if;

  return query execute format(
    $$
    select
      r.id, r.workflow_slug::text, t.step_slug::text, w.signals::text[], s.started_at, nullif(t.queued_at, 'infinity'), r.idempotency_key,
      r.headers,
      case when $4 then (
        select i.input
        from quantumflow._task_input(r.id, t.step_slug, 0, null, r.input, 0, w.dependencies, true, false, false, null, 2147483647) i
      ) end
    from pgmq.%1$I q
    cross join lateral quantumflow._task_of(q.message, q.msg_id) t
    cross join lateral (
      select l.id, l.workflow_slug, l.version, l.input, l.headers, l.idempotency_key
      from quantumflow.workflow_runs l
      where l.id = t.run_id
      limit 1
    ) r
    cross join lateral (
      select l.signals, l.dependencies
      from quantumflow.workflow_steps l
      where (l.workflow_slug, l.version, l.step_slug) = (r.workflow_slug, r.version, t.step_slug)
        and l.signals is not null
      limit 1
    ) w
    cross join lateral (
      select l.started_at
      from quantumflow.step_states l
      where (l.run_id, l.step_slug) = (r.id, t.step_slug)
      limit 1
    ) s
    where %2$s = hashtext($5)
      and t.status = 'queued'
      and ($1 is null or r.workflow_slug = $1)
      and ($2 is null or $2 = any (w.signals))
    order by q.vt
    limit $3
    $$,
    'q_' || v_queue, quantumflow._lane())
  using
    list_waits.workflow_slug, list_waits.signal, list_waits.max_runs, list_waits.with_input, quantumflow._lane_of_waits();
end
$list_waits$;

comment on function quantumflow.list_waits(text, text, int, boolean) is
'The steps that wait for a signal, those of which the deadline comes first, then those that have none: what there is to approve, say.

workflow_slug, signal: only those of this workflow, and for this signal. max_runs: 1 to 10,000. with_input: what the step is given, too, for
people to decide by. Those of paused runs are among them.

Errors: QF211 bad max_runs.';
