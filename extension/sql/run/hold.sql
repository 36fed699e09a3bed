-- How calls on one run get hold of it: the run alone, to steer one that moves, or all of it, to change one at rest.

create function quantumflow._hold_run(p_run_id uuid)
returns quantumflow.workflow_runs
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_hold_run$
declare
  v_run quantumflow.workflow_runs;
begin
  select *
  into v_run
  from quantumflow.workflow_runs r
  where r.id = p_run_id
  for update;

  if not found then
    perform quantumflow._raise_unknown_run(p_run_id);
  end if;

  return v_run;
end
$_hold_run$;

comment on function quantumflow._hold_run(uuid) is
'Locks a run FOR UPDATE, waiting for claims and reports that have it. From then on nobody else changes its steps and tasks, though
a report that waits for the run may hold their rows.

Errors: QF201 unknown run.';

create function quantumflow._hold_whole_runs(p_run_ids uuid[])
returns setof quantumflow.workflow_runs
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_hold_whole_runs$
begin
  perform
  from quantumflow.step_tasks t
  where t.run_id = any (p_run_ids)
  order by t.run_id, t.step_slug, t.task_index
  for update;

  perform
  from quantumflow.step_states s
  where s.run_id = any (p_run_ids)
  order by s.run_id, s.step_slug
  for update;

  return query
  select *
  from quantumflow.workflow_runs r
  where r.id = any (p_run_ids)
  order by r.id
  for update;
end
$_hold_whole_runs$;

comment on function quantumflow._hold_whole_runs(uuid[]) is
'Locks runs with all their tasks and steps, in the order tasks, steps, runs, waiting for each, and returns the runs as they are then.';

create function quantumflow._hold_resting_run(p_run_id uuid, p_verb text)
returns quantumflow.workflow_runs
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_hold_resting_run$
declare
  v_run quantumflow.workflow_runs;
begin
  -- Also before it is locked: a run that goes on is refused at once, and this call waits for none of its tasks.
  select *
  into v_run
  from quantumflow.workflow_runs r
  where r.id = p_run_id;

  if found then
    perform quantumflow._refuse_moving_run(v_run, p_verb);
  end if;

  select *
  into v_run
  from quantumflow._hold_whole_runs(array[p_run_id]);

  if v_run.id is null then
    perform quantumflow._raise_unknown_run(p_run_id);
  end if;
  perform quantumflow._refuse_moving_run(v_run, p_verb);

  return v_run;
end
$_hold_resting_run$;

comment on function quantumflow._hold_resting_run(uuid, text) is
'Locks a run that has ended with all its tasks and steps, and refuses one that has not. p_verb: what is to be done with it, retried
or deleted.

Errors: QF201 unknown run; QF213 the run has not ended, or its callback has not.';

create function quantumflow._refuse_ended_run(p_run quantumflow.workflow_runs, p_verb text)
returns void
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_refuse_ended_run$
begin
  if p_run.status not in ('started', 'paused') then
    raise exception 'run % has ended', p_run.id
    using
      errcode = 'QF207',
      detail = format(
        'Its status is "%s" since %s.',
        p_run.status, coalesce(p_run.completed_at, p_run.failed_at, p_run.cancelled_at)),
      hint = format('Only a started or paused run can be %s.', p_verb);
  end if;
end
$_refuse_ended_run$;

comment on function quantumflow._refuse_ended_run(quantumflow.workflow_runs, text) is
'Refuses a run that is over.

Errors: QF207 the run has ended.';

create function quantumflow._refuse_moving_run(p_run quantumflow.workflow_runs, p_verb text)
returns void
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_refuse_moving_run$
declare
  v_callback text := quantumflow._open_callback(p_run.id);
begin
  if p_run.status in ('started', 'paused') then
    raise exception 'run % has not ended', p_run.id
    using
      errcode = 'QF213',
      detail = format('Its status is "%s".', p_run.status),
      hint = format('Only a run that has ended can be %s; quantumflow.cancel_run() ends it.', p_verb);
  end if;

  if v_callback is not null and p_verb = 'deleted' then
    raise exception 'run % has a task that has not ended', p_run.id
    using
      errcode = 'QF213',
      detail = format('Its %s task is still to be done.', v_callback),
      hint = format(
        'Wait for a worker to do it, or settle it by hand: select quantumflow.complete_task(%L, %L, %s).',
        p_run.id, v_callback, p_run.retries);
  end if;
end
$_refuse_moving_run$;

comment on function quantumflow._refuse_moving_run(quantumflow.workflow_runs, text) is
'Refuses a run that goes on, or, where it is to be deleted, whose callback is still to be done.

Errors: QF213 the run has not ended, or its callback has not.';

create function quantumflow._trees_of(p_run_ids uuid[])
returns uuid[]
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_trees_of$
begin
  return array(
    with recursive tree (id) as (
      select unnest(p_run_ids)
      union
      select r.id
      from tree t
      cross join lateral (
        select l.id
        from quantumflow.workflow_runs l
        where l.parent_run_id = t.id
        offset 0
      ) r
    )
    select t.id
    from tree t
    order by t.id);
end
$_trees_of$;

comment on function quantumflow._trees_of(uuid[]) is 'Runs, and all below them, in order of their ids.';

create function quantumflow._goes_on_below(p_run_id uuid)
returns uuid
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_goes_on_below$
begin
  return (
    select r.id
    from unnest(quantumflow._trees_of(array[p_run_id])) u (run_id)
    cross join lateral (
      select l.id
      from quantumflow.workflow_runs l
      where l.id = u.run_id
        and (l.status in ('started', 'paused') or quantumflow._open_callback(l.id) is not null)
      limit 1
    ) r
    limit 1
  );
end
$_goes_on_below$;

comment on function quantumflow._goes_on_below(uuid) is
'A run of a tree that has not ended, or whose callback is still to be done; null: all of it is at rest.';

create function quantumflow._hold_resting_tree(p_run_id uuid)
returns uuid[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_hold_resting_tree$
declare
  v_tree uuid[];
  v_live uuid;
begin
  -- Also before it is locked: a tree that goes on is refused at once. A run that ended starts no children.
  loop
    v_live := quantumflow._goes_on_below(p_run_id);

    if v_live is not null then
      raise exception 'run % has not ended', v_live
      using
        errcode = 'QF213',
        detail = format('It is part of run %s, or it is that run.', p_run_id),
        hint = 'Only a run that has ended with all below it can be deleted; quantumflow.cancel_run() ends it, and a callback is waited for.';
    end if;

    exit when v_tree is not null and v_tree = quantumflow._trees_of(array[p_run_id]);

    v_tree := quantumflow._trees_of(array[p_run_id]);
    perform quantumflow._hold_whole_runs(v_tree);
  end loop;

  return v_tree;
end
$_hold_resting_tree$;

comment on function quantumflow._hold_resting_tree(uuid) is
'Locks all runs of a tree with their tasks and steps, in order, waiting for each, and refuses one of which anything goes on.

Errors: QF213.';

create function quantumflow._refuse_child(p_run quantumflow.workflow_runs)
returns void
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_refuse_child$
begin
  if exists (select from quantumflow.workflow_runs r where r.id = p_run.parent_run_id) then
    raise exception 'run % is part of another', p_run.id
    using
      errcode = 'QF228',
      detail = format('Step %s of run %s started it.', p_run.parent_step_slug, p_run.parent_run_id),
      hint = format('It is deleted with its root: quantumflow.delete_run(%L).', p_run.root_run_id);
  end if;
end
$_refuse_child$;

comment on function quantumflow._refuse_child(quantumflow.workflow_runs) is
'Refuses a child, which is deleted with its root.

Errors: QF228.';

create function quantumflow._refuse_unwanted(p_run quantumflow.workflow_runs, p_verb text)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_refuse_unwanted$
begin
  if p_run.parent_run_id is not null and quantumflow._wanted_children(array[p_run.id]) = '{}' then
    raise exception 'run % is not waited for any more', p_run.id
    using
      errcode = 'QF227',
      detail = format(
        'Step %s of run %s started it, and has ended, or has started another since.', p_run.parent_step_slug, p_run.parent_run_id),
      hint = format('It can be %s by its root: see quantumflow.retry_run(%L).', p_verb, p_run.root_run_id);
  end if;
end
$_refuse_unwanted$;

comment on function quantumflow._refuse_unwanted(quantumflow.workflow_runs, text) is
'Refuses a child for which its parent does not wait any more: whatever became of it would change nothing.

Errors: QF227.';

create function quantumflow._open_callback(p_run_id uuid)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_open_callback$
begin
  return (
    select t.step_slug
    from quantumflow.workflow_runs r
    join quantumflow.step_tasks t
      on (t.run_id, t.step_slug) = (r.id, quantumflow._callback_of(r.status))
    where r.id = p_run_id
      and t.status in ('queued', 'started')
  );
end
$_open_callback$;

comment on function quantumflow._open_callback(uuid) is
'The callback of an ended run that is still to be done, _on_complete or _on_failure; null when there is none.';

create function quantumflow._raise_unknown_run(p_run_id uuid)
returns void
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_raise_unknown_run$
begin
  raise exception 'run % does not exist', coalesce(p_run_id::text, 'null')
  using
    errcode = 'QF201',
    detail = 'No run has this id; it may have been deleted.',
    hint = 'select id, workflow_slug, status from quantumflow.workflow_runs order by id desc limit 20 shows the latest.';
end
$_raise_unknown_run$;

comment on function quantumflow._raise_unknown_run(uuid) is
'Raises QF201.

Errors: QF201 always.';
