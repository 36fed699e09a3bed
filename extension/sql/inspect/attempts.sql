create type quantumflow.attempt as (
  step_slug     text,
  task_index    int,
  retries       int,
  attempt       int,
  due_at        timestamptz,
  began_at      timestamptz,
  ended_at      timestamptz,
  outcome       text,
  kind          text,
  worker        text,
  error_message text
);

comment on type quantumflow.attempt is 'An attempt at a task, whatever became of it, or the one that the task waits for.';
comment on column quantumflow.attempt.step_slug is 'The step.';
comment on column quantumflow.attempt.task_index is 'The task.';
comment on column quantumflow.attempt.retries is
'The run''s retries at that time; of what a later retry kept or undid, the last at which it is known to have been so.';
comment on column quantumflow.attempt.attempt is 'Which of the task''s attempts since then, from 1; 0 of a task that was completed by hand before any.';
comment on column quantumflow.attempt.due_at is
'From when it could be claimed, so that began_at - due_at is how long it waited; the end of a sleep, the deadline of a wait. Null of a wait
that has none, and for failed attempts of before version 0.4.0.';
comment on column quantumflow.attempt.began_at is
'When it was claimed; once it has ended, when its handler began, if its report says for how long that ran. Null if nobody claimed it.';
comment on column quantumflow.attempt.ended_at is
'When it was reported, or its lease was found to have run out, or its run ended; null while it goes on.';
comment on column quantumflow.attempt.outcome is
'queued: not claimed yet. started: being worked on. completed. failed: see kind. cancelled: its run ended before it did.
undone: it was completed, and a retry runs the task again.';
comment on column quantumflow.attempt.kind is 'Of a failed one, as in task_failures: error, timeout or lost; condition or loop, of a step that failed without an attempt (0).';
comment on column quantumflow.attempt.worker is 'The name of the worker that had it, or its id where it is not registered; null for nobody, or a person.';
comment on column quantumflow.attempt.error_message is 'What went wrong; of a queued one what the last time, or why it is left to other code.';

create function quantumflow._attempts(p_run_id uuid, p_step_slug text default null, p_task_index int default null)
returns setof quantumflow.attempt
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_custom_plan
as $_attempts$
begin
  return query
  select
    a.step_slug, a.task_index, a.retries, a.attempt, nullif(a.due_at, 'infinity'), a.began_at, a.ended_at, a.outcome, a.kind,
    coalesce(w.name, a.worker_id::text), a.error_message
  from (
    select
      t.step_slug,
      t.task_index,
      case when t.status in ('queued', 'started') then r.retries else quantumflow._retries_of(t, r.retries) end as retries,
      t.attempts + (t.status = 'queued')::int as attempt,
      t.queued_at as due_at,
      case when t.status <> 'queued' then t.started_at end as began_at,
      case
        when t.status = 'completed' then t.completed_at
        when t.status = 'cancelled' then coalesce(r.completed_at, r.failed_at, r.cancelled_at)
      end as ended_at,
      t.status as outcome,
      null as kind,
      case when t.status <> 'queued' and t.lease_token is not null then t.worker_id end as worker_id,
      case when t.status <> 'completed' then t.error_message end as error_message
    from quantumflow.workflow_runs r
    join quantumflow.step_tasks t
      on t.run_id = r.id
    where r.id = p_run_id
      and (p_step_slug is null or t.step_slug = p_step_slug)
      and (p_task_index is null or t.task_index = p_task_index)
      and (
        t.status in ('queued', 'started', 'completed')
        -- What a failure or a lost lease has ended is below; so nobody had a cancelled task then.
        or (
          t.status = 'cancelled'
          and t.lease_token is not null
          and not exists (
            select
            from quantumflow.task_failures f
            where (f.run_id, f.step_slug, f.task_index) = (t.run_id, t.step_slug, t.task_index)
              and f.lease_token = t.lease_token
          )
        )
      )
    union all
    select
      f.step_slug, f.task_index, f.retries, f.attempt, f.due_at, f.started_at, f.ended_at, 'failed', f.kind, f.worker_id,
      f.error_message
    from quantumflow.task_failures f
    where f.run_id = p_run_id
      and (p_step_slug is null or f.step_slug = p_step_slug)
      and (p_task_index is null or f.task_index = p_task_index)
    union all
    select
      u.step_slug, u.task_index, u.undone_by - 1, u.attempt, u.due_at, u.started_at, u.completed_at, 'undone', null, u.worker_id, null
    from quantumflow.undone_tasks u
    where u.run_id = p_run_id
      and (p_step_slug is null or u.step_slug = p_step_slug)
      and (p_task_index is null or u.task_index = p_task_index)
  ) a
  left join quantumflow.workers w
    on w.worker_id = a.worker_id;
end
$_attempts$;

comment on function quantumflow._attempts(uuid, text, int) is
'The attempts at the tasks of a run, of one step of it, or at one task, in no order.';

create function quantumflow._retries_of(p_task quantumflow.step_tasks, p_retries int)
returns int
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_retries_of$
begin
  if p_retries = 0 then
    return 0;
  end if;

  -- Attempts are counted anew by each retry: one of a lower number, or the same, came after a failure of an earlier time.
  return greatest(
    0,
    (
      select max(u.undone_by)
      from quantumflow.undone_tasks u
      where (u.run_id, u.step_slug, u.task_index) = (p_task.run_id, p_task.step_slug, p_task.task_index)
    ),
    (
      select max(f.retries + (f.attempt >= p_task.attempts)::int)
      from quantumflow.task_failures f
      where (f.run_id, f.step_slug, f.task_index) = (p_task.run_id, p_task.step_slug, p_task.task_index)
    ));
end
$_retries_of$;

comment on function quantumflow._retries_of(quantumflow.step_tasks, int) is
'After which retry of its run a task that has ended was made, as far as what is kept of it tells: the rows do not say when a run was
retried.';

create function quantumflow.list_attempts(run_id uuid, step_slug text default null)
returns setof quantumflow.attempt
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $list_attempts$
begin
  perform quantumflow.run_input(list_attempts.run_id);

  -- A callback has tasks, and is no step.
  if list_attempts.step_slug is not null and not exists (
    select
    from quantumflow.step_tasks t
    where (t.run_id, t.step_slug) = (list_attempts.run_id, list_attempts.step_slug)
  )
  then
    perform quantumflow._refuse_unknown_step(list_attempts.run_id, list_attempts.step_slug);
  end if;

  return query
  select *
  from quantumflow._attempts(list_attempts.run_id, list_attempts.step_slug) a
  order by a.due_at nulls first, a.began_at, a.step_slug, a.task_index, a.retries, a.attempt;
end
$list_attempts$;

comment on function quantumflow.list_attempts(uuid, text) is
'Every attempt at the tasks of a run, or of one of its steps, in order of when they were due: who had it, how long it waited
(began_at - due_at) and worked (ended_at - began_at), and what became of it. A task that waits has a row for the attempt it waits for.

Errors: QF201 unknown run; QF307 the run has no such step.';
