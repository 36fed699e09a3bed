-- How children start: never by a report, which must not wait for who changes, or deletes, their workflow.

create function quantumflow._begin_to_wait(p_due quantumflow._due_task[], p_now timestamptz)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_begin_to_wait$
declare
  v_secret uuid := gen_random_uuid();
begin
  if p_due = '{}' then
    return;
  end if;

  update quantumflow.step_tasks t
  set
    status = 'started',
    attempts = t.attempts + 1,
    lease_token = quantumflow._token_of(v_secret, t.message_id),
    started_at = p_now
  from unnest(p_due) d
  where t.run_id is not distinct from (d.held).run_id
    and t.ctid = (d.held).tid;

  perform quantumflow._set_vt(
    quantumflow._system_queue(),
    array_agg((d.held).message_id),
    array_agg(coalesce(p_now + (d.held).timeout, 'infinity')))
  from unnest(p_due) d;
end
$_begin_to_wait$;

comment on function quantumflow._begin_to_wait(quantumflow._due_task[], timestamptz) is
'Lets tasks wait for their runs, until these end or their timeout. Before these start: one may end as it starts, and makes the message due.';

create function quantumflow._with_inputs(p_due quantumflow._due_task[])
returns quantumflow._due_task[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_with_inputs$
declare
  v_due    quantumflow._due_task[] := p_due;
  v_found  record;
  v_filled quantumflow._filled;
begin
  for v_found in
    select
      d.ordinality as n, w.child_input as template, i.input,
      jsonb_build_object('status', coalesce(o.statuses, '{}')) as variables
    from unnest(p_due) with ordinality d
    cross join lateral (
      select l.child_input, l.dependencies, l.after, l.gathers, l.repeats
      from quantumflow.workflow_steps l
      where (l.workflow_slug, l.version, l.step_slug) = ((d.held).workflow_slug, (d.held).version, (d.held).step_slug)
      limit 1
    ) w
    cross join lateral (
      select case
        when w.gathers and w.child_input is null then (
          select l.item_value
          from quantumflow.step_tasks l
          where (l.run_id, l.step_slug, l.task_index) = ((d.held).run_id, (d.held).step_slug, (d.held).task_index)
        )
        when w.gathers then quantumflow._child_of_map_input((d.held).run_id, (d.held).step_slug, (d.held).task_index, w.dependencies, w.child_input)
        else (
          select k.input
          from quantumflow.workflow_runs l
          cross join lateral quantumflow._task_input(
            l.id, (d.held).step_slug, (d.held).task_index, null, l.input, 0, w.dependencies, true, false, w.repeats, null, 2147483647) k
          where l.id = (d.held).run_id
        )
      end as input
      offset 0
    ) i
    cross join lateral (
      select case when w.child_input is not null then (
        select jsonb_object_agg(u.slug, s.status)
        from unnest(w.dependencies || w.after) u (slug)
        cross join lateral (
          select l.status
          from quantumflow.step_states l
          where (l.run_id, l.step_slug) = ((d.held).run_id, u.slug)
          limit 1
        ) s
      ) end as statuses
    ) o
    where d.verdict = 'starts'
  loop
    v_filled := quantumflow._fill(v_found.template, v_found.input, v_found.variables);
    v_due[v_found.n].input := v_filled.value;

    if v_filled.error is not null then
      v_due[v_found.n].verdict := 'fails';
      v_due[v_found.n].kind := 'condition';
      v_due[v_found.n].error_message := quantumflow._cut('the input of its run cannot be made: ' || v_filled.error);
    end if;
  end loop;

  return v_due;
end
$_with_inputs$;

comment on function quantumflow._with_inputs(quantumflow._due_task[]) is
'Tasks whose runs are to start, with what these are given; what the step''s template cannot be filled for fails.';

create function quantumflow._child_of_map_input(p_run_id uuid, p_step_slug text, p_task_index int, p_dependencies text[], p_template jsonb)
returns jsonb
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_child_of_map_input$
begin
  -- Of what is the same for each child only what its input names: else a map would read all of it for each.
  return (
    select jsonb_object_agg(g.key, g.value)
    from (
      select 'item' as key, t.item_value as value
      from quantumflow.step_tasks t
      where (t.run_id, t.step_slug, t.task_index) = (p_run_id, p_step_slug, p_task_index)
      union all
      select 'index', to_jsonb(p_task_index)
      union all
      select 'run', r.input
      from quantumflow.workflow_runs r
      where r.id = p_run_id
        and quantumflow._names(p_template::text, 'run')
      union all
      select d.step_slug, o.output
      from unnest(p_dependencies) d (step_slug)
      cross join lateral (
        select l.output
        from quantumflow._step_outputs l
        where (l.run_id, l.step_slug) = (p_run_id, d.step_slug)
        limit 1
      ) o
      where quantumflow._names(p_template::text, d.step_slug)
    ) g
  );
end
$_child_of_map_input$;

comment on function quantumflow._child_of_map_input(uuid, text, int, text[], jsonb) is
'What the input of a child of a map is made from: its item and index, and of the run and of what the map depends on whatever the template names.';

create function quantumflow._within_trees(p_due quantumflow._due_task[], p_now timestamptz)
returns quantumflow._due_task[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_within_trees$
declare
  v_due       quantumflow._due_task[] := p_due;
  v_max_depth bigint := quantumflow._limit('max_run_depth');
  v_max_runs  bigint := quantumflow._limit('max_tree_runs');
  v_found     record;
begin
  for v_found in
    with child as materialized (
      select
        d.ordinality as n, (d.held).step_slug, coalesce(r.root_run_id, r.id) as root_run_id, coalesce(r.depth, 0) + 1 as depth,
        row_number() over (partition by coalesce(r.root_run_id, r.id) order by d.ordinality) as number
      from unnest(p_due) with ordinality d
      cross join lateral (
        select l.id, l.root_run_id, l.depth
        from quantumflow.workflow_runs l
        where l.id = (d.held).run_id
        limit 1
      ) r
      where d.verdict = 'starts'
    ),
    tree as materialized (
      select k.root_run_id, h.runs, h.runs is null and exists (
        select from quantumflow._trees o where o.root_run_id = k.root_run_id offset 0) as is_busy
      from (select distinct c.root_run_id from child c order by 1 offset 0) k
      left join lateral (
        select l.runs
        from quantumflow._trees l
        where l.root_run_id = k.root_run_id
        for no key update skip locked
      ) h on true
    )
    select c.n, c.step_slug, c.depth, t.is_busy, coalesce(t.runs, 1) as runs, coalesce(t.runs, 1) + c.number > v_max_runs as is_too_many
    from child c
    join tree t
      on t.root_run_id = c.root_run_id
    where c.depth > v_max_depth
      or t.is_busy
      or coalesce(t.runs, 1) + c.number > v_max_runs
  loop
    if v_found.depth > v_max_depth then
      v_due[v_found.n].verdict := 'fails';
      v_due[v_found.n].error_message := format(
        'the run that step %s starts would be %s runs deep, and max_run_depth allows %s', v_found.step_slug, v_found.depth, v_max_depth);
    elsif v_found.is_busy then
      v_due[v_found.n].verdict := 'later';
      v_due[v_found.n].later_at := p_now + interval '100 ms';
    else
      v_due[v_found.n].verdict := 'fails';
      v_due[v_found.n].error_message := format(
        'the tree of the run that step %s starts has %s runs, and max_tree_runs allows %s', v_found.step_slug, v_found.runs, v_max_runs);
    end if;

    v_due[v_found.n].kind := 'child';
  end loop;

  return v_due;
end
$_within_trees$;

comment on function quantumflow._within_trees(quantumflow._due_task[], timestamptz) is
'Tasks whose runs are to start, without those that would be too deep, or too many in one tree, which fail. It holds the trees'' counters; where
somebody else does, the task is judged again in 100 ms.';

create function quantumflow._start_children(p_due quantumflow._due_task[], p_now timestamptz)
returns quantumflow._due_task[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_start_children$
declare
  v_due   quantumflow._due_task[] := p_due;
  v_group record;
  v_n     bigint;
  v_error text;
begin
  for v_group in
    select d.child_flow, d.definition, w.child_version, r.priority, r.headers, array_agg(d.ordinality order by d.ordinality) as places
    from unnest(p_due) with ordinality d
    cross join lateral (
      select l.child_version
      from quantumflow.workflow_steps l
      where (l.workflow_slug, l.version, l.step_slug) = ((d.held).workflow_slug, (d.held).version, (d.held).step_slug)
      limit 1
    ) w
    cross join lateral (
      select l.priority, l.headers
      from quantumflow.workflow_runs l
      where l.id = (d.held).run_id
      limit 1
    ) r
    where d.verdict = 'starts'
    group by d.child_flow, d.definition, w.child_version, r.priority, r.headers
    order by d.child_flow, w.child_version, d.definition
  loop
    if not quantumflow._may_start(v_group.child_flow) then
      foreach v_n in array v_group.places loop
        v_due[v_n].verdict := 'later';
        v_due[v_n].later_at := p_now + interval '100 ms';
      end loop;

      continue;
    end if;

    v_error := quantumflow._try_start(
      array(select v_due[n] from unnest(v_group.places) n), v_group.child_version, v_group.priority, v_group.headers, p_now);
    continue when v_error is null;

    -- One that cannot start keeps no other from it.
    foreach v_n in array v_group.places loop
      if cardinality(v_group.places) > 1 then
        v_error := quantumflow._try_start(v_due[v_n:v_n], v_group.child_version, v_group.priority, v_group.headers, p_now);
      end if;

      if v_error is not null then
        v_due[v_n].verdict := 'fails';
        v_due[v_n].kind := 'child';
        v_due[v_n].error_message := quantumflow._cut('its run cannot start: ' || v_error);
      end if;
    end loop;
  end loop;

  perform quantumflow._count_in_trees(array(select (d.held).run_id from unnest(v_due) d where d.verdict = 'starts'));
  perform quantumflow._count_plans(array(select d from unnest(v_due) d where d.verdict = 'starts' and d.plan is not null));

  return v_due;
end
$_start_children$;

comment on function quantumflow._start_children(quantumflow._due_task[], timestamptz) is
'Starts the runs of tasks, with what they are given, by workflow and in as few calls as can be. Returns the tasks: those whose run cannot start
fail; those whose workflow somebody changes or deletes are judged again in 100 ms.';

create function quantumflow._try_start(
  p_due      quantumflow._due_task[],
  p_version  int,
  p_priority int,
  p_headers  jsonb,
  p_now      timestamptz)
returns text
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_try_start$
declare
  v_parents quantumflow._parent_ref[];
  v_version int := p_version;
  v_ids     uuid[] := array(select quantumflow._uuid_v7() from generate_series(1, cardinality(p_due)));
begin
  v_parents := array(
    select row(
      (d.held).run_id, (d.held).step_slug, (d.held).task_index, (d.held).retries, coalesce(r.root_run_id, r.id), coalesce(r.depth, 0) + 1
    )::quantumflow._parent_ref
    from unnest(p_due) with ordinality d
    cross join lateral (
      select l.id, l.root_run_id, l.depth
      from quantumflow.workflow_runs l
      where l.id = (d.held).run_id
      limit 1
    ) r
    order by d.ordinality);

  if p_due[1].definition is not null then
    v_version := quantumflow._store_hidden(p_due[1].child_flow, p_due[1].definition);

    insert into quantumflow._hidden_runs (workflow_slug, version, run_id)
    select p_due[1].child_flow, v_version, u.run_id
    from unnest(v_ids) u (run_id);
  end if;

  perform quantumflow._begin_to_wait(p_due, p_now);
  perform quantumflow._start_runs(
    p_due[1].child_flow, v_version,
    v_ids,
    array(select d.input from unnest(p_due) with ordinality d order by d.ordinality),
    p_priority, null, null, p_headers, true, v_parents, p_now);

  return null;
exception
  when others then
    -- A deadlock, a lack of memory or a shutdown says nothing of what was to start.
    if quantumflow._is_of_the_call(sqlstate) then
      raise;
    end if;

    return format('%s (%s)', sqlerrm, sqlstate);
end
$_try_start$;

comment on function quantumflow._try_start(quantumflow._due_task[], int, int, jsonb, timestamptz) is
'Starts the runs of tasks of one workflow, all or none; null, or why not. Raises errors of class 40, 53 and 57.';

create function quantumflow._count_in_trees(p_parents uuid[])
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_count_in_trees$
begin
  -- The first child of a tree is started by a task of its root, which the caller holds: so nobody else makes this row.
  insert into quantumflow._trees as t (root_run_id, runs)
  select r.root_run_id, 1 + count(*)
  from unnest(p_parents) u (run_id)
  cross join lateral (
    select coalesce(l.root_run_id, l.id) as root_run_id
    from quantumflow.workflow_runs l
    where l.id = u.run_id
    limit 1
  ) r
  group by r.root_run_id
  order by r.root_run_id
  on conflict (root_run_id) do update
  set runs = t.runs + excluded.runs - 1;
end
$_count_in_trees$;

comment on function quantumflow._count_in_trees(uuid[]) is
'Counts children that were started in their trees; p_parents: the run that started each of them. The caller holds the trees'' counters.';
