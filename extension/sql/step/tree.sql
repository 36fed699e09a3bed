-- Children: runs that steps start, and that these wait for. A child's end goes to its parent by the vt of a message, and what a parent's end
-- means for its children by a note, where that cannot be done at once: so nobody who holds a row of a run waits for one of its parent, or of
-- its children.

create type quantumflow._parent_ref as (
  run_id      uuid,
  step_slug   text,
  task_index  int,
  retries     int,
  root_run_id uuid,
  depth       int
);

comment on type quantumflow._parent_ref is 'Whose child a run is that starts: the task that waits for it, the run at the top, and how far that is.';

create function quantumflow._wanted_children(p_run_ids uuid[])
returns uuid[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_wanted_children$
begin
  return array(
    select c.id
    from unnest(p_run_ids) u (run_id)
    cross join lateral (
      select l.id, l.parent_run_id, l.parent_step_slug, l.parent_task_index, l.parent_retries
      from quantumflow.workflow_runs l
      where l.id = u.run_id
      limit 1
    ) c
    cross join lateral (
      select
      from quantumflow.workflow_runs l
      where l.id = c.parent_run_id
        and l.status in ('started', 'paused')
      limit 1
    ) p
    cross join lateral (
      select
      from quantumflow.step_states l
      where (l.run_id, l.step_slug) = (c.parent_run_id, c.parent_step_slug)
        and coalesce(l.fresh_since, 0) <= c.parent_retries
      limit 1
    ) s
    cross join lateral (
      select
      from quantumflow.step_tasks l
      where (l.run_id, l.step_slug, l.task_index) = (c.parent_run_id, c.parent_step_slug, c.parent_task_index)
        and l.status in ('queued', 'started')
      limit 1
    ) t);
end
$_wanted_children$;

comment on function quantumflow._wanted_children(uuid[]) is
'Those of these children that are wanted: whose parent has not ended, whose task is queued or started, and since which the step has not been run
anew. Nothing else decides.';

create function quantumflow._wake_parents(p_run_ids uuid[], p_now timestamptz)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_wake_parents$
declare
  v_children uuid[];
  v_msg_ids  bigint[];
  v_woken    bigint[];
begin
  select array_agg(c.id order by t.message_id), array_agg(t.message_id order by t.message_id)
  into v_children, v_msg_ids
  from unnest(p_run_ids) u (run_id)
  cross join lateral (
    select l.id, l.parent_run_id, l.parent_step_slug, l.parent_task_index
    from quantumflow.workflow_runs l
    where l.id = u.run_id
    limit 1
  ) c
  cross join lateral (
    select l.message_id
    from quantumflow.step_tasks l
    where (l.run_id, l.step_slug, l.task_index) = (c.parent_run_id, c.parent_step_slug, c.parent_task_index)
      and l.status in ('queued', 'started')
    limit 1
  ) t;

  if v_msg_ids is null then
    return;
  end if;

  v_woken := quantumflow._make_due(v_msg_ids, quantumflow._lane_of_children(), p_now);

  -- Somebody holds the message, or the task has another one by now.
  if cardinality(v_woken) < cardinality(v_msg_ids) then
    insert into quantumflow._tree_work (run_id, recorded_at)
    select k.run_id, p_now
    from unnest(v_children, v_msg_ids) k (run_id, msg_id)
    where k.msg_id <> all (v_woken);
  end if;
end
$_wake_parents$;

comment on function quantumflow._wake_parents(uuid[], timestamptz) is
'Makes due what waits for these children, which have ended; waits for nobody, and notes what could not be woken.';

create function quantumflow._note_children(p_run_ids uuid[], p_now timestamptz)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_note_children$
begin
  insert into quantumflow._tree_work (run_id, recorded_at)
  select u.run_id, p_now
  from unnest(p_run_ids) u (run_id);
end
$_note_children$;

comment on function quantumflow._note_children(uuid[], timestamptz) is
'Notes that somebody is to look at these children: who changes one without holding the task that waits for it cannot know whether it is wanted.';
