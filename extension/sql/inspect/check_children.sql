create function quantumflow._check_children(p_run_id uuid)
returns setof quantumflow.state_problem
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_check_children$
begin
  -- What is put aside because somebody holds it comes back after 100 ms, and what could not be settled after a minute.
  return query execute format(
    $$
    with child as materialized (
      select
        c.id, c.status, c.depth, c.parent_run_id, c.parent_step_slug, c.parent_task_index, c.parent_retries >= coalesce(s.fresh_since, 0) as is_fresh,
        p.status as parent_status, coalesce(p.depth, 0) as parent_depth, p.id is not null as has_parent,
        t.status as task_status, t.queue, t.message_id, t.error_message,
        exists (select from quantumflow._tree_work w where w.run_id = c.id) as is_noted
      from quantumflow.workflow_runs c
      left join quantumflow.workflow_runs p
        on p.id = c.parent_run_id
      left join quantumflow.step_states s
        on (s.run_id, s.step_slug) = (c.parent_run_id, c.parent_step_slug)
      left join quantumflow.step_tasks t
        on (t.run_id, t.step_slug, t.task_index) = (c.parent_run_id, c.parent_step_slug, c.parent_task_index)
      where c.parent_run_id is not null
        and ($1 is null or $1 in (c.id, c.parent_run_id))
    )
    select 12, c.id, null::text, null::int, null::text, null::bigint,
      format('the run goes on, and step %%s of run %%s does not wait for it', c.parent_step_slug, c.parent_run_id), 'look at the tree'
    from child c
    where c.status in ('started', 'paused')
      and not c.is_noted
      and not coalesce(c.parent_status in ('started', 'paused') and c.task_status in ('queued', 'started') and c.is_fresh, false)
      and not exists (select from quantumflow._unfinished_ends e where e.run_id = c.parent_run_id)
    union all
    select 12, c.id, null, null, null, null,
      case
        when not c.has_parent then format('the run is a child of run %%s, which does not exist', c.parent_run_id)
        else format('the run is %%s deep, and its parent %%s', c.depth, c.parent_depth)
      end,
      null
    from child c
    where not c.has_parent
      or c.depth <> c.parent_depth + 1
    union all
    select 12, c.parent_run_id, c.parent_step_slug::text, c.parent_task_index, c.queue, c.message_id,
      format('the step waits for run %%s, which is %%s', c.id, c.status), 'wake it'
    from child c
    join (%1$s) q
      on (q.queue, q.msg_id) = (c.queue, c.message_id)
    where c.status in ('completed', 'failed', 'cancelled')
      and c.parent_status = 'started'
      and c.task_status = 'started'
      and c.is_fresh
      and not c.is_noted
      and q.vt > $2 + case when starts_with(c.error_message, 'could not be settled') then interval '61 s' else interval '1 s' end
      and not exists (
        select
        from child o
        where (o.parent_run_id, o.parent_step_slug, o.parent_task_index) = (c.parent_run_id, c.parent_step_slug, c.parent_task_index)
          and o.is_fresh
          and o.status in ('started', 'paused')
      )
    union all
    select 12, t.run_id, t.step_slug, t.task_index, t.queue, t.message_id, 'the step waits for a run, and has started none', 'wake it'
    from quantumflow.step_tasks t
    join quantumflow.workflow_runs r
      on r.id = t.run_id
    join quantumflow.workflow_steps w
      on (w.workflow_slug, w.version, w.step_slug) = (r.workflow_slug, r.version, t.step_slug)
      and w.child_flow is not null
    where ($1 is null or t.run_id = $1)
      and t.status = 'started'
      and r.status in ('started', 'paused')
      and not exists (
        select
        from child c
        where (c.parent_run_id, c.parent_step_slug, c.parent_task_index) = (t.run_id, t.step_slug, t.task_index)
          and c.is_fresh
      )
    $$,
    quantumflow._all_messages())
  using p_run_id, quantumflow._now();

  return query
  select 12, k.run_id, k.step_slug::text, null::int, null::text, null::bigint,
    format('%s children of the map go on, of %s that may, and %s wait', k.going, k.max_children, k.waiting),
    case when k.going < k.max_children then 'let children go' end
  from (
    select
      s.run_id, s.step_slug, w.max_children,
      count(*) filter (where t.status = 'started' or t.queued_at < 'infinity') as going,
      count(*) filter (where t.status = 'queued' and t.queued_at = 'infinity') as waiting
    from quantumflow.workflow_steps w
    join quantumflow.workflow_runs r
      on (r.workflow_slug, r.version) = (w.workflow_slug, w.version)
      and r.status in ('started', 'paused')
    join quantumflow.step_states s
      on (s.run_id, s.step_slug) = (r.id, w.step_slug)
      and s.status = 'started'
    join quantumflow.step_tasks t
      on (t.run_id, t.step_slug) = (s.run_id, s.step_slug)
      and t.status in ('queued', 'started')
    where w.max_children is not null
      and (p_run_id is null or r.id = p_run_id)
    group by s.run_id, s.step_slug, w.max_children
  ) k
  where k.going > k.max_children
    or (k.going < k.max_children and k.waiting > 0);
end
$_check_children$;

comment on function quantumflow._check_children(uuid) is 'Rule 12 of check_state: runs that steps start, and the steps that wait for them.';
