create function quantumflow._kind_problems(p_definition jsonb)
returns table (code text, path text, message text, step_index int)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_kind_problems$
declare
  v_max_iterations bigint := quantumflow._limit('max_iterations');
  v_outputs        jsonb;
begin
  -- That of a wait for one signal is what was sent, which may be an array.
  select jsonb_object_agg(
    s.name,
    case s.step_type
      when 'sleep' then 'is {"until"}, since it sleeps,'
      when 'flow' then 'is an object, as that of each run, unless its output says otherwise,'
      when 'plan' then 'is an object, as that of each run,'
      else 'is {"signal", "payload"}, since it waits for several,'
    end)
  into v_outputs
  from quantumflow._named_steps(p_definition) s
  where s.step_type in ('sleep', 'plan')
    or (s.step_type = 'wait' and s.step ? 'signals')
    or (s.step_type = 'flow' and coalesce(jsonb_typeof(s.step -> 'output') not in ('array', 'string'), true));

  -- What a key is of, and what nobody works on does not have.
  return query
  select
    'QF118', format('steps[%s].%s', s.index, r.key), format('%s step %s has %s, which is of %s', s.step_type, s.shown, r.key, r.wanted),
    s.index
  from quantumflow._named_steps(p_definition) s
  cross join lateral (
    values
      ('seconds', 'a sleep', '{sleep}'::text[]),
      ('at', 'a sleep', '{sleep}'),
      ('signal', 'a wait', '{wait}'),
      ('signals', 'a wait', '{wait}'),
      ('until', 'a loop', '{loop}'),
      ('while', 'a loop', '{loop}'),
      ('max_iterations', 'a loop', '{loop}'),
      ('delay', 'a loop', '{loop}'),
      ('keep', 'a loop', '{loop}'),
      ('flow', 'what starts runs', '{flow,map,loop}'),
      ('flow_version', 'what starts runs', '{flow,map,loop}'),
      ('input', 'what starts runs', '{flow,map,loop}'),
      ('output', 'what starts runs', '{flow,map,loop}'),
      ('max_children', 'maps that start runs', '{map}'),
      ('may_use', 'a plan', '{plan}'),
      ('may_use_types', 'a plan', '{plan}'),
      ('may_use_flows', 'a plan', '{plan}'),
      ('max_steps', 'a plan', '{plan}'),
      ('timeout', 'a wait, a flow and what workers do', '{single,map,loop,plan,wait,flow}'),
      ('command', 'what workers do', '{single,map,loop,plan}'),
      ('args', 'what workers do', '{single,map,loop,plan}'),
      ('queue', 'what workers do', '{single,map,loop,plan}'),
      ('max_attempts', 'a flow and what workers do', '{single,map,loop,plan,flow}'),
      ('max_lost', 'what workers do', '{single,map,loop,plan}'),
      ('retry_delay', 'what workers do', '{single,map,loop,plan}'),
      ('start_delay', 'what workers do', '{single,map,loop}'),
      ('limit', 'what workers do', '{single,map,loop}')
  ) as r(key, wanted, step_types)
  where s.step ? r.key
    and s.step_type <> all (r.step_types)
    and s.step_type in (select k.step_type from quantumflow._kinds() k)

  -- A map starts runs, or workers do it, and so does a loop.
  union all
  select
    'QF118', format('steps[%s].%s', s.index, r.key),
    case
      when s.step ? 'flow' then format('%s step %s starts runs, and has %s, which is of what workers do', s.step_type, s.shown, r.key)
      else format('%s step %s has %s and no flow, of which it would start runs', s.step_type, s.shown, r.key)
    end,
    s.index
  from quantumflow._named_steps(p_definition) s
  cross join lateral (
    values
      ('flow_version', false), ('input', false), ('output', false), ('max_children', false),
      ('command', true), ('args', true), ('queue', true), ('max_lost', true), ('retry_delay', true), ('start_delay', true),
      ('chunk_size', true), ('limit', true)
  ) as r(key, of_workers)
  where (s.is_map or (s.step_type = 'loop' and r.key not in ('max_children', 'chunk_size')))
    and s.step ? r.key
    and s.step ? 'flow' = r.of_workers

  union all
  select 'QF118', format('steps[%s].%s', s.index, r.key), format('%s step %s %s', s.step_type, s.shown, r.problem), s.index
  from quantumflow._named_steps(p_definition) s
  cross join lateral (
    values
      ('seconds', 'has neither seconds nor at, and one of them says until when', s.step_type = 'sleep' and not s.step ?| array['seconds', 'at']),
      ('at', 'has seconds and at, and only one of them can say until when', s.step_type = 'sleep' and s.step ?& array['seconds', 'at']),
      ('signals', 'has signal and signals, and only one of them can say what it waits for', s.step_type = 'wait' and s.step ?& array['signal', 'signals']),
      ('flow', 'has no flow, which says of what it starts a run', s.step_type = 'flow' and not s.step ? 'flow'),
      ('signals', 'waits for no signal', s.step_type = 'wait' and s.step -> 'signals' = '[]' and not s.step ? 'signal'),
      ('until', 'has neither until nor while, and one of them says when it ends', s.step_type = 'loop' and not s.step ?| array['until', 'while']),
      ('while', 'has until and while, and only one of them can say when it ends', s.step_type = 'loop' and s.step ?& array['until', 'while']),
      (
        'max_iterations', 'has no max_iterations, without which it might have no end',
        s.step_type = 'loop' and not s.step ? 'max_iterations'
      ),
      (
        'max_iterations', format('may have %s iterations, and %s are allowed', s.step ->> 'max_iterations', v_max_iterations),
        s.step_type = 'loop' and jsonb_typeof(s.step -> 'max_iterations') = 'number'
        and (s.step ->> 'max_iterations')::numeric between v_max_iterations + 1 and 1000000
      )
  ) as r(key, problem, is_wrong)
  where r.is_wrong

  union all
  select
    'QF101', format('steps[%s].signals[%s]', s.index, d.number - 1),
    'a signal must be text of 1 to 128 characters, not ' || quantumflow._shown(d.value), s.index
  from quantumflow._named_steps(p_definition) s
  cross join jsonb_array_elements(quantumflow._array(s.step -> 'signals')) with ordinality as d(value, number)
  where jsonb_typeof(d.value) <> 'string'
    or length(d.value #>> '{}') not between 1 and 128

  union all
  select 'QF117', format('steps[%s].at', s.index), format('the time of step %s %s', s.shown, c.problem), s.index
  from quantumflow._named_steps(p_definition) as s
  cross join lateral quantumflow._condition_problems(
    s.step ->> 'at',
    quantumflow._texts(s.dependencies),
    quantumflow._texts(s.after) || quantumflow._texts(s.prefer_after),
    p_gives_value => true
  ) as c(problem)
  where jsonb_typeof(s.step -> 'at') = 'string'
    and length(s.step ->> 'at') between 1 and 2000

  union all
  select 'QF117', format('steps[%s].%s', s.index, w.key), format('the %s of step %s %s', w.key, s.shown, c.problem), s.index
  from quantumflow._named_steps(p_definition) as s
  cross join unnest(array['until', 'while']) as w(key)
  cross join lateral quantumflow._condition_problems(
    s.step ->> w.key,
    quantumflow._texts(s.dependencies),
    quantumflow._texts(s.after) || quantumflow._texts(s.prefer_after),
    p_of_loop => true
  ) as c(problem)
  where jsonb_typeof(s.step -> w.key) = 'string'
    and length(s.step ->> w.key) between 1 and 2000

  union all
  select 'QF117', format('steps[%s].%s', s.index, t.key), format('the %s of step %s %s', t.key, s.shown, c.problem), s.index
  from quantumflow._named_steps(p_definition) s
  cross join unnest(array['input', 'output']) t (key)
  cross join lateral quantumflow._template_problems(
    s.step -> t.key,
    case
      when t.key = 'input'
      then quantumflow._texts(s.dependencies)
        || case when s.is_map then array['item', 'index'] when s.step_type = 'loop' then quantumflow._names_of_loops() else '{}' end
    end,
    quantumflow._texts(s.after) || quantumflow._texts(s.prefer_after)
  ) c (problem)
  where s.step ? t.key
    and s.step ? 'flow'

  union all
  select
    'QF119', format('steps[%s].%s', s.index, k.key),
    format('step %s starts %s, which does not exist', s.shown, k.what), s.index
  from quantumflow._named_steps(p_definition) s
  cross join lateral (
    select
      case when w.is_there then 'flow_version' else 'flow' end as key,
      case
        when w.is_there then format('version %s of workflow "%s"', s.step ->> 'flow_version', s.step ->> 'flow')
        else format('workflow "%s"', s.step ->> 'flow')
      end as what
    from (
      select s.step -> 'flow' = p_definition -> 'slug' or exists (
        select from quantumflow.workflows l where l.workflow_slug = s.step ->> 'flow') as is_there
    ) w
    where not w.is_there
      or (
        s.step ? 'flow_version'
        and not exists (
          select
          from quantumflow.workflow_versions l
          where l.workflow_slug = s.step ->> 'flow'
            and to_jsonb(l.version) = s.step -> 'flow_version'
        )
      )
  ) k
  where jsonb_typeof(s.step -> 'flow') = 'string'
    and s.step ->> 'flow' ~* '^[a-z][a-z0-9_]{0,127}$'

  union all
  select
    'QF118', format('steps[%s].map_over', s.index),
    format('map step %s maps over %s, whose output %s and no array', s.shown, quantumflow._shown(to_jsonb(o.over)), v_outputs ->> o.over),
    s.index
  from quantumflow._named_steps(p_definition) s
  cross join lateral (select coalesce(s.map_over, s.dependencies -> 0) #>> '{}') as o(over)
  where s.is_map
    and v_outputs ? o.over

  union all
  select *
  from quantumflow._plan_problems(p_definition);
end
$_kind_problems$;

comment on function quantumflow._kind_problems(jsonb) is
'Steps of a definition that say what does not go with their type.';
