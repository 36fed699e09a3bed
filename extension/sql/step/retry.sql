-- How an ended run is run again, as far as it did not finish: by whoever asks, or, as a child, by its parent.

create type quantumflow._retried_step as (
  step_slug      text,
  keeps_tasks    boolean,
  has_passed     boolean,
  is_anew        boolean,
  kept_before    int,
  max_iterations int
);

comment on type quantumflow._retried_step is
'A step that a retry runs again, whether its completed tasks are kept, of a loop only those before an iteration (kept_before), whether it has
passed the gate, and does not again, whether it runs anew, as if it had never run, or, of a loop, had had no later iterations, and how many
iterations a loop may have then, where that is not what its definition says.';

create function quantumflow._refuse_iteration(p_run quantumflow.workflow_runs, p_from_step text, p_from_iteration int)
returns void
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_refuse_iteration$
declare
  v_made  int;
  v_first int;
begin
  select s.initial_tasks
  into v_made
  from quantumflow.step_states s
  join quantumflow.workflow_steps w
    on (w.workflow_slug, w.version, w.step_slug) = (p_run.workflow_slug, p_run.version, s.step_slug)
    and w.repeats
  where (s.run_id, s.step_slug) = (p_run.id, p_from_step);

  if not found then
    raise exception 'step "%" has no iteration %', coalesce(p_from_step, 'null'), p_from_iteration
    using
      errcode = 'QF221',
      detail = 'Only a loop has iterations, and from_step names none.',
      hint = 'Leave from_iteration out: from_step alone runs the step again.';
  end if;

  select coalesce(min(t.task_index) + 1, 0)
  into v_first
  from quantumflow.step_tasks t
  where (t.run_id, t.step_slug, t.status) = (p_run.id, p_from_step, 'completed');

  if not (p_from_iteration = 0 or p_from_iteration between v_first and v_made - 1) or v_made is null then
    raise exception 'step "%" has no iteration % to begin at', p_from_step, p_from_iteration
    using
      errcode = 'QF221',
      detail = format(
        'It has had %s iterations, counted from 0, and what comes before one is kept from iteration %s on.', coalesce(v_made, 0), v_first),
      hint = 'Name one of these, or 0, or leave from_iteration out: from_step alone runs the whole loop again.';
  end if;
end
$_refuse_iteration$;

comment on function quantumflow._refuse_iteration(quantumflow.workflow_runs, text, int) is
'Refuses an iteration that a loop has not had, or of which it is not known any more what came before.

Errors: QF221 there is none, or the step is no loop.';

create function quantumflow._is_kept(p_plan quantumflow._retried_step, p_task quantumflow.step_tasks)
returns boolean
language sql
immutable
return p_plan.keeps_tasks and p_task.status = 'completed' and p_task.task_index < coalesce(p_plan.kept_before, 2147483647);

comment on function quantumflow._is_kept(quantumflow._retried_step, quantumflow.step_tasks) is
'Whether a retry keeps a task of a step that runs again.';

create function quantumflow._plan_retry(
  p_run            quantumflow.workflow_runs,
  p_from_step      text,
  p_from_iteration int,
  p_given_up       boolean)
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

  if p_from_iteration is not null then
    perform quantumflow._refuse_iteration(p_run, p_from_step, p_from_iteration);
  end if;

  -- The steps that did not finish, and those that were given up. Of a map, the finished tasks are kept; if all are finished, their outputs
  -- failed it, and none is; of a loop the last one's did, and all are. What is covered has a step before it that runs again, or is named: its outputs and its answer at the gate go.
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
    not k.is_covered and (w.repeats or o.is_open),
    not k.is_covered and s.started_at is not null,
    k.is_covered or k.is_named,
    case when k.is_named then p_from_iteration end,
    case
      when k.is_covered or not w.repeats then null
      when k.is_named or o.is_open or s.status = 'cancelled' then s.max_iterations
      else s.initial_tasks + w.max_iterations
    end
  from quantumflow.step_states s
  join quantumflow.workflow_steps w
    on (w.workflow_slug, w.version, w.step_slug) = (p_run.workflow_slug, p_run.version, s.step_slug)
  -- With from_iteration the loop begins inside, unless something before it runs again too.
  cross join lateral (
    select
      p_from_iteration is not null
      and s.step_slug = p_from_step
      and not exists (
        select
        from covered c
        join quantumflow.workflow_steps d
          on (d.workflow_slug, d.version, d.step_slug) = (p_run.workflow_slug, p_run.version, c.slug)
        where s.step_slug = any (d.dependents)
      ) as is_named
  ) i
  cross join lateral (select i.is_named, not i.is_named and s.step_slug in (select c.slug from covered c) as is_covered) k
  cross join lateral (
    select exists (
      select
      from quantumflow.step_tasks t
      where (t.run_id, t.step_slug) = (s.run_id, s.step_slug)
        and t.status <> 'completed'
    ) as is_open
  ) o
  where s.run_id = p_run.id
    and (
      not quantumflow._has_ended(s.status, w.goes_on)
      or k.is_covered
      or k.is_named
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

comment on function quantumflow._plan_retry(quantumflow.workflow_runs, text, int, boolean) is
'The steps of an ended run that a retry runs again; p_given_up: also those that it went on without, and all that depends on them.

Errors: QF214 there is none; QF215 the run has no such step; QF221 the step has no such iteration.';

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
          and not quantumflow._is_kept(p, l)
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

create function quantumflow._retry(p_run quantumflow.workflow_runs, p_plan quantumflow._retried_step[], p_now timestamptz)
returns quantumflow.workflow_runs
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_retry$
declare
  v_run   quantumflow.workflow_runs;
  v_steps text[] := array(select p.step_slug from unnest(p_plan) p order by p.step_slug);
begin
  if p_run.turn_key is not null then
    perform quantumflow._take_turn_again(p_run, p_now);
  end if;

  -- What is left of the tasks, the steps as if they had never started, the run; then start what is ready.
  perform quantumflow._forget_tasks(p_run, p_plan);

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
    failed_tasks = null,
    next_child = null,
    fresh_since = case when p.is_anew then p_run.retries + 1 else s.fresh_since end,
    max_iterations = p.max_iterations,
    unkept_gave_up = case when not p.is_anew then s.unkept_gave_up end
  from unnest(p_plan) p
  cross join quantumflow.workflow_steps w
  where (s.run_id, s.step_slug) = (p_run.id, p.step_slug)
    and (w.workflow_slug, w.version, w.step_slug) = (p_run.workflow_slug, p_run.version, s.step_slug);

  delete from quantumflow._map_counters c
  where c.run_id = p_run.id
    and c.step_slug = any (v_steps);

  delete from quantumflow._unfinished_ends e
  where e.run_id = p_run.id;

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
  where r.id = p_run.id
  returning *
  into v_run;

  perform quantumflow._note_retry(v_run.id, p_now);
  perform quantumflow._start_ready(v_run, p_now, array(select p.step_slug from unnest(p_plan) p where p.has_passed));
  perform quantumflow._make_deadlines(array[p_run.id], p_now);

  select *
  into v_run
  from quantumflow.workflow_runs r
  where r.id = p_run.id;

  return v_run;
end
$_retry$;

comment on function quantumflow._retry(quantumflow.workflow_runs, quantumflow._retried_step[], timestamptz) is
'Runs steps of an ended run again, as planned; the run then. The caller holds it with its steps and tasks.

Errors: QF225 another run of its key goes on; QF401 the queue of a step that would start is gone; QF403 it is somebody else''s.';
