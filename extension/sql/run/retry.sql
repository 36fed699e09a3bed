create type quantumflow._retried_step as (
  step_slug   text,
  keeps_tasks boolean,
  has_passed  boolean
);

comment on type quantumflow._retried_step is
'A step that a retry runs again, whether its completed tasks are kept, and whether it has passed the gate, and does not again.';

create function quantumflow.retry_run(
  run_id         uuid,
  from_step      text default null,
  from_iteration int default null,
  given_up       boolean default false,
  reason         text default null)
returns quantumflow.workflow_runs
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $retry_run$
declare
  v_now    timestamptz := quantumflow._now();
  v_run    quantumflow.workflow_runs;
  v_before jsonb;
  v_plan   quantumflow._retried_step[];
  v_steps  text[];
begin
  perform quantumflow._require_read_committed('retry a run');
  perform quantumflow._refuse_iteration(retry_run.from_step, retry_run.from_iteration);

  v_run := quantumflow._hold_resting_run(retry_run.run_id, 'retried');
  v_before := quantumflow._end_of(v_run);
  v_plan := array(select p from quantumflow._plan_retry(v_run, retry_run.from_step, retry_run.given_up) p);
  v_steps := array(select p.step_slug from unnest(v_plan) p order by p.step_slug);

  -- Change: what is left of the tasks, the steps as if they had never started, the run; then start what is ready.
  perform quantumflow._forget_tasks(v_run, v_plan);

  update quantumflow.step_states s
  set
    status = 'created',
    remaining_deps = cardinality(array(select unnest(w.dependencies || w.after) intersect select unnest(v_steps))),
    remaining_tasks = w.known_tasks,
    initial_tasks = w.known_tasks,
    output = null,
    error_message = null,
    started_at = null,
    completed_at = null,
    failed_at = null,
    skipped_at = null,
    skip_reason = null,
    failed_tasks = null
  from quantumflow.workflow_steps w
  where s.run_id = v_run.id
    and s.step_slug = any (v_steps)
    and (w.workflow_slug, w.version, w.step_slug) = (v_run.workflow_slug, v_run.version, s.step_slug);

  delete from quantumflow._map_counters c
  where c.run_id = v_run.id
    and c.step_slug = any (v_steps);

  delete from quantumflow._unfinished_ends e
  where e.run_id = v_run.id;

  update quantumflow.workflow_runs r
  set
    status = 'started',
    retries = r.retries + 1,
    remaining_steps = cardinality(v_steps),
    output = null,
    error_message = null,
    completed_at = null,
    failed_at = null,
    cancelled_at = null,
    gave_up = case when r.gave_up is not null then quantumflow._given_up(r.id) end
  where r.id = v_run.id
  returning *
  into v_run;

  perform quantumflow._start_ready(v_run, v_now, array(select p.step_slug from unnest(v_plan) p where p.has_passed));
  perform quantumflow._make_deadlines(array[v_run.id], v_now);
  perform quantumflow._record_act(
    'retry_run', v_now, v_run.workflow_slug, v_run.id, p_reason => retry_run.reason,
    p_detail => v_before || jsonb_build_object('from_step', retry_run.from_step, 'given_up', nullif(retry_run.given_up, false)));

  select *
  into v_run
  from quantumflow.workflow_runs r
  where r.id = v_run.id;

  return v_run;
end
$retry_run$;

comment on function quantumflow.retry_run(uuid, text, int, boolean, text) is
'Runs again what an ended run did not finish, and, with from_step, that step and all that depends on it too. With given_up also what the run
went on without, steps and tasks of maps, and all that depends on that, even if the run is completed.

Finished steps keep their outputs, and so do the finished tasks of a map that did not finish. The tasks that run again have all their
attempts again. task_failures keeps the history, under the run''s retries at that time, and undone_tasks what was completed and runs again;
that has another idempotency key then (fresh_since of claimed_task). A callback of the ended run that is still to
be done is cancelled, and its run_timeout counts anew. A wait that runs again waits for another signal than it had taken. retry_preview shows what would run again.

A step that was skipped stays so, unless it depends on what runs again. A step that had started, and now runs again without anything that it
depends on, does not pass the gate again; one that its condition has failed does. from_iteration is for loops, which there are none of yet. reason is kept in audit_log,
with how the run had ended.

Errors: QF201 unknown run; QF213 the run has not ended; QF214 nothing to run again, as the run is completed and no from_step is given;
QF215 the run has no such step; QF221 a from_iteration; QF401 the queue of a step that would start is gone; 0A000 unless the transaction is read committed.';

create function quantumflow._refuse_iteration(p_from_step text, p_from_iteration int)
returns void
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_refuse_iteration$
begin
  if p_from_iteration is not null then
    raise exception 'step "%" has no iteration %', coalesce(p_from_step, 'null'), p_from_iteration
    using
      errcode = 'QF221',
      detail = 'Only a loop has iterations, and no step is one.',
      hint = 'Leave from_iteration out: from_step alone runs the step again.';
  end if;
end
$_refuse_iteration$;

comment on function quantumflow._refuse_iteration(text, int) is
'Refuses an iteration that there is not.

Errors: QF221 always, where one is named.';

create function quantumflow.retry_preview(
  run_id         uuid,
  from_step      text default null,
  from_iteration int default null,
  given_up       boolean default false)
returns table (step_slug text, status text, tasks_again int, tasks_kept int)
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $retry_preview$
declare
  v_run  quantumflow.workflow_runs;
  v_plan quantumflow._retried_step[];
begin
  perform quantumflow._refuse_iteration(retry_preview.from_step, retry_preview.from_iteration);

  select *
  into v_run
  from quantumflow.workflow_runs r
  where r.id = retry_preview.run_id;

  if not found then
    perform quantumflow._raise_unknown_run(retry_preview.run_id);
  end if;
  perform quantumflow._refuse_moving_run(v_run, 'retried');

  v_plan := array(select p from quantumflow._plan_retry(v_run, retry_preview.from_step, retry_preview.given_up) p);

  return query
  select
    p.step_slug,
    s.status,
    case
      when w.known_tasks is not null then w.known_tasks
      when w.map_over in (select o.step_slug from unnest(v_plan) o) then null
      else s.initial_tasks - k.kept
    end,
    k.kept
  from unnest(v_plan) p
  join quantumflow.step_states s
    on (s.run_id, s.step_slug) = (v_run.id, p.step_slug)
  join quantumflow.workflow_steps w
    on (w.workflow_slug, w.version, w.step_slug) = (v_run.workflow_slug, v_run.version, p.step_slug)
  cross join lateral (
    select (count(*) filter (where p.keeps_tasks and t.status = 'completed'))::int as kept
    from quantumflow.step_tasks t
    where (t.run_id, t.step_slug) = (v_run.id, p.step_slug)
  ) k
  order by w.step_index;
end
$retry_preview$;

comment on function quantumflow.retry_preview(uuid, text, int, boolean) is
'What retry_run with the same arguments would run again, a row per step in the order of the definition; changes nothing. What its condition
or its dependencies will say is not foretold: a step listed here may be skipped then.

status: what the step is now. tasks_again: how many of its tasks would run, null for a map whose size is not known before.
tasks_kept: how many finished ones would keep their outputs.

Errors: QF201, QF213, QF214, QF215, QF221 as retry_run.';

create function quantumflow._plan_retry(p_run quantumflow.workflow_runs, p_from_step text, p_given_up boolean)
returns setof quantumflow._retried_step
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_plan_retry$
begin
  if not exists (
    select
    from quantumflow.step_states s
    where (s.run_id, s.step_slug) = (p_run.id, coalesce(p_from_step, s.step_slug))
  )
  then
    raise exception 'run % has no step "%"', p_run.id, p_from_step
    using
      errcode = 'QF215',
      detail = format('It runs version %s of workflow "%s".', p_run.version, p_run.workflow_slug),
      hint = 'select * from quantumflow.step_states where run_id = ... shows its steps.';
  end if;

  -- The steps that did not finish, and those that were given up. Of a map, the finished tasks are kept; if all are finished, their outputs
  -- failed it, and none is. What is covered has a step before it that runs again, or is named: its outputs and its answer at the gate go.
  return query
  with recursive given_up (slug) as (
    select s.step_slug
    from quantumflow.step_states s
    join quantumflow.workflow_steps w
      on (w.workflow_slug, w.version, w.step_slug) = (p_run.workflow_slug, p_run.version, s.step_slug)
    where p_given_up
      and s.run_id = p_run.id
      and (
        (s.status = 'failed' and w.goes_on)
        or (s.status = 'completed' and (s.error_message is not null or s.failed_tasks > 0))
      )
  ),
  covered (slug) as (
    (
      select p_from_step collate "C"
      where p_from_step is not null
      union
      select unnest(w.dependents)
      from given_up g
      join quantumflow.workflow_steps w
        on (w.workflow_slug, w.version, w.step_slug) = (p_run.workflow_slug, p_run.version, g.slug)
    )
    union
    select u.dependent
    from covered c
    join quantumflow.workflow_steps w
      on (w.workflow_slug, w.version, w.step_slug) = (p_run.workflow_slug, p_run.version, c.slug)
    cross join unnest(w.dependents) u (dependent)
  )
  select
    s.step_slug,
    not k.is_covered
    and exists (
      select
      from quantumflow.step_tasks t
      where (t.run_id, t.step_slug) = (s.run_id, s.step_slug)
        and t.status <> 'completed'
    ),
    not k.is_covered and s.started_at is not null
  from quantumflow.step_states s
  join quantumflow.workflow_steps w
    on (w.workflow_slug, w.version, w.step_slug) = (p_run.workflow_slug, p_run.version, s.step_slug)
  cross join lateral (select s.step_slug in (select c.slug from covered c) as is_covered) k
  where s.run_id = p_run.id
    and (
      not quantumflow._has_ended(s.status, w.goes_on)
      or k.is_covered
      or s.step_slug in (select g.slug from given_up g)
    );

  if not found then
    raise exception 'run % has nothing to run again', p_run.id
    using
      errcode = 'QF214',
      detail = case
        when p_run.gave_up > 0 then format('All its steps have ended; it gave up %s of its steps and tasks.', p_run.gave_up)
        else 'All its steps are done.'
      end,
      hint = case
        when p_run.gave_up > 0 then 'quantumflow.retry_run(run_id, given_up => true) runs what it gave up again.'
        else 'Name the step to run again from: quantumflow.retry_run(run_id, from_step => ...).'
      end;
  end if;
end
$_plan_retry$;

comment on function quantumflow._plan_retry(quantumflow.workflow_runs, text, boolean) is
'The steps of an ended run that a retry runs again; p_given_up: also those that it went on without, and all that depends on them.

Errors: QF214 there is none; QF215 the run has no such step.';

create function quantumflow._forget_tasks(p_run quantumflow.workflow_runs, p_plan quantumflow._retried_step[])
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_forget_tasks$
declare
  v_batch record;
begin
  -- The tasks are deleted, so that the steps get theirs in the one way there is. A callback is no step: its task is cancelled.
  for v_batch in
    with forgotten as (
      delete from quantumflow.step_tasks t
      using unnest(p_plan) p
      cross join lateral (
        select l.ctid as tid
        from quantumflow.step_tasks l
        where (l.run_id, l.step_slug) = (p_run.id, p.step_slug)
          and not (p.keeps_tasks and l.status = 'completed')
        offset 0
      ) k
      where t.run_id is not distinct from p_run.id
        and t.ctid = k.tid
      returning t.*
    ),
    undone as (
      insert into quantumflow.undone_tasks
        (run_id, step_slug, task_index, undone_by, attempt, worker_id, due_at, started_at, completed_at, usage)
      select
        f.run_id, f.step_slug, f.task_index, p_run.retries + 1, f.attempts, f.worker_id, f.queued_at, f.started_at, f.completed_at,
        f.usage
      from forgotten f
      where f.status = 'completed'
    ),
    cancelled as (
      update quantumflow.step_tasks t
      set status = 'cancelled'
      where t.run_id = p_run.id
        and t.status in ('queued', 'started')
        and exists (
          select
          from quantumflow.workflow_steps w
          where (w.workflow_slug, w.version, w.step_slug) = (p_run.workflow_slug, p_run.version, t.step_slug)
            and not w.counts
          offset 0
        )
      returning t.queue, t.message_id
    )
    select m.queue, array_agg(m.message_id order by m.message_id) as msg_ids
    from (
      select f.queue, f.message_id
      from forgotten f
      where f.status in ('queued', 'started')
      union all
      select c.queue, c.message_id
      from cancelled c
    ) m
    group by m.queue
    order by m.queue
  loop
    perform quantumflow._remove_messages(v_batch.queue, v_batch.msg_ids);
  end loop;
end
$_forget_tasks$;

comment on function quantumflow._forget_tasks(quantumflow.workflow_runs, quantumflow._retried_step[]) is
'Removes the tasks that a retry runs again, and notes those that were completed; cancels a callback that is still to be done, or a
deadline that its end has left, and removes what messages they have.';
