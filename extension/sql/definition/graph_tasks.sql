-- A graph of tasks as others write it, and as a definition has it.

create function quantumflow._graph_tasks(p_graph jsonb)
returns jsonb
language sql
immutable
return case jsonb_typeof(p_graph)
  when 'array' then p_graph
  when 'object' then case
    when jsonb_typeof(p_graph -> 'tasks') = 'array' then p_graph -> 'tasks'
    when jsonb_typeof(p_graph -> 'steps') = 'array' then p_graph -> 'steps'
  end
end;

comment on function quantumflow._graph_tasks(jsonb) is
'The tasks of a graph: the array that it is, or its "tasks", or the "steps" of a definition; null when it is none of these.';

create function quantumflow._task_keys()
returns table (key text, same_as text, of_goals boolean, of_type text)
language sql
immutable
begin atomic
  values
    ('id', null::text, true, null::text),
    ('name', 'id', true, null),
    ('slug', 'id', true, null),
    ('description', null, true, null),
    ('depends_on', null, true, null),
    ('dependencies', 'depends_on', true, null),
    ('critical', null, true, null),
    ('goal', null, true, null),
    ('args', null, true, null),
    ('command', null, false, null),
    ('type', null, false, null),
    ('after', null, false, null),
    ('map_over', null, false, null),
    ('chunk_size', null, false, null),
    ('if', null, false, null),
    ('otherwise', null, false, null),
    ('join', null, false, null),
    ('on_error', null, false, null),
    ('fallback', null, false, null),
    ('tolerate', null, false, null),
    ('timeout', null, false, null),
    ('max_attempts', null, false, null),
    ('retry_delay', null, false, null),
    ('flow', null, false, 'flow'),
    ('input', null, false, 'flow'),
    ('output', null, false, 'flow'),
    ('may_use', null, false, 'plan'),
    ('may_use_types', null, false, 'plan'),
    ('may_use_flows', null, false, 'plan'),
    ('max_steps', null, false, 'plan');
end;

comment on function quantumflow._task_keys() is
'What a task of a graph may say of itself, and no more: the rest of a definition is not for a planner to choose. of_goals: a task that is a goal,
too. of_type: only where steps of this type may be.';

create function quantumflow._id_text(p_id jsonb)
returns text
language sql
immutable
return case when jsonb_typeof(p_id) in ('string', 'number') then p_id #>> '{}' end;

comment on function quantumflow._id_text(jsonb) is 'The id of a task as a text; null when it is no id. Numbers are taken too: planners count.';

create function quantumflow._id_texts(p_ids jsonb)
returns jsonb
language sql
immutable
return (
  select coalesce(jsonb_agg(quantumflow._id_text(i.id) order by i.number), '[]')
  from jsonb_array_elements(quantumflow._array(p_ids)) with ordinality as i(id, number));

comment on function quantumflow._id_texts(jsonb) is 'Ids, each as a text.';

create function quantumflow._step_name_of(p_id text)
returns text
language sql
immutable
return regexp_replace(regexp_replace(p_id, '[^A-Za-z0-9_]', '_', 'g'), '^(?![A-Za-z])', 't_');

comment on function quantumflow._step_name_of(text) is
'The name of the step of a task: its id, with an underscore for each character that no name has, and t_ before one that begins with no letter.';

create function quantumflow._tidy_tasks(p_tasks jsonb)
returns jsonb
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_tidy_tasks$
begin
  return (
    select coalesce(jsonb_agg(t.task order by t.number), '[]')
    from (
      select o.number, case when jsonb_typeof(o.value) = 'object' then coalesce(k.task, '{}') else o.value end as task
      from jsonb_array_elements(p_tasks) with ordinality as o(value, number)
      cross join lateral (
        -- What is given twice, under both names of a key, keeps the second: one is to be refused.
        select jsonb_object_agg(
          case when l.same_as is null or o.value ? l.same_as then e.key else l.same_as end, e.value) as task
        from jsonb_each(case when jsonb_typeof(o.value) = 'object' then o.value else '{}' end) e
        left join quantumflow._task_keys() l
          on l.key = e.key
        where e.value <> 'null'
      ) k
    ) t);
end
$_tidy_tasks$;

comment on function quantumflow._tidy_tasks(jsonb) is
'The tasks of a graph, each with the first names of its keys, and without those that are null: so that each says a thing in one way.';

create function quantumflow._steps_of_tasks(p_tasks jsonb)
returns jsonb
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_steps_of_tasks$
begin
  return (
    select coalesce(jsonb_agg(
      (t.task - array['id', 'description', 'depends_on', 'after', 'critical', 'map_over', 'goal'])
        || jsonb_strip_nulls(jsonb_build_object(
          'name', quantumflow._step_name_of(t.id),
          'command', case when t.task ? 'flow' then t.task -> 'command' else coalesce(t.task -> 'command', to_jsonb(t.id)) end,
          'dependencies', quantumflow._step_names(t.task -> 'depends_on'),
          'after', quantumflow._step_names(t.task -> 'after'),
          'map_over', quantumflow._step_name_of(quantumflow._id_text(t.task -> 'map_over')),
          'on_error', case when t.task -> 'critical' = 'false' then 'continue' end))
        || quantumflow._args_of_task(t.task)
      order by t.number), '[]')
    from (
      select o.number, o.value as task, quantumflow._id_text(o.value -> 'id') as id
      from jsonb_array_elements(p_tasks) with ordinality as o(value, number)
    ) t);
end
$_steps_of_tasks$;

comment on function quantumflow._steps_of_tasks(jsonb) is
'The steps, as a definition has them, that tidy tasks come to: in the same order. A description is among the args; what is not critical is gone on without.';

create function quantumflow._args_of_task(p_task jsonb)
returns jsonb
language sql
immutable
return case
  when p_task ? 'description' and not p_task ? 'flow' and coalesce(jsonb_typeof(p_task -> 'args'), 'object') = 'object'
    then jsonb_build_object(
      'args', jsonb_build_object('description', p_task -> 'description') || coalesce(p_task -> 'args', '{}'))
  else '{}'
end;

comment on function quantumflow._args_of_task(jsonb) is
'The args of a task as a member of its step, if the description is to be among them: where they are an object, and have none.';

create function quantumflow._step_names(p_ids jsonb)
returns jsonb
language sql
immutable
return case
  when jsonb_typeof(p_ids) = 'array' then (
    select coalesce(jsonb_agg(quantumflow._step_name_of(quantumflow._id_text(i.id)) order by i.number), '[]')
    from jsonb_array_elements(p_ids) with ordinality as i(id, number)
  )
  else p_ids
end;

comment on function quantumflow._step_names(jsonb) is 'The names of the steps of tasks, by their ids.';
