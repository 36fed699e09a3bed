-- A step that asks for a graph of tasks. It is a loop over runs of a workflow that nobody defines: in the first of them its planner is asked, and
-- asked again while what it says is no good; then its graph is run, which ends the loop.

create function quantumflow._plan_slug(p_workflow_slug text, p_step_slug text)
returns text
language sql
immutable
return '_plan_' || left(encode(sha256(convert_to(p_workflow_slug || '.' || p_step_slug, 'UTF8')), 'hex'), 24);

comment on function quantumflow._plan_slug(text, text) is
'The workflow of which a step that asks for a plan starts runs: a version of it is how it asks, or what it was answered.';

create function quantumflow._plan_goes_on()
returns text
language sql
immutable
return 'lax exists($.last."asked?")';

comment on function quantumflow._plan_goes_on() is
'While what a step loops that asks for a plan: what was run has names of steps as keys, and this is none.';

create function quantumflow._compiled_plan(p_step_slug text, p_settings jsonb)
returns jsonb
language sql
immutable
return jsonb_build_object(
  'step', jsonb_strip_nulls(jsonb_build_object(
    'name', 'plan',
    'command', coalesce(p_settings -> 'command', to_jsonb(p_step_slug)),
    'queue', p_settings -> 'queue',
    'timeout', p_settings -> 'timeout',
    'max_attempts', p_settings -> 'max_attempts',
    'max_lost', p_settings -> 'max_lost',
    'retry_delay', p_settings -> 'retry_delay'))
    || case when p_settings ? 'args' then jsonb_build_object('args', p_settings -> 'args') else '{}' end,
  'may_use', p_settings -> 'may_use',
  'may_use_types', coalesce(p_settings -> 'may_use_types', '["single", "map"]'),
  'may_use_flows', coalesce(p_settings -> 'may_use_flows', '[]'),
  'max_steps', p_settings -> 'max_steps');

comment on function quantumflow._compiled_plan(text, jsonb) is 'workflow_steps.plan of a step with its settings resolved.';

create function quantumflow._plan_problems(p_definition jsonb)
returns table (code text, path text, message text, step_index int)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_plan_problems$
declare
  v_max_steps bigint := quantumflow._limit('max_plan_steps');
begin
  return query
  select 'QF118', format('steps[%s].%s', s.index, r.key), format('plan step %s %s', s.shown, r.problem), s.index
  from quantumflow._named_steps(p_definition) s
  cross join lateral (
    values
      ('may_use', 'has no may_use, which says what commands its tasks may have', not s.step ? 'may_use' or s.step -> 'may_use' = '[]'),
      ('may_use_types', 'may have no type of steps', s.step -> 'may_use_types' = '[]'),
      ('may_use_flows', 'has may_use_flows, and may have no steps of type flow',
        s.step ? 'may_use_flows' and s.step -> 'may_use_flows' <> '[]' and not coalesce(s.step -> 'may_use_types', '[]') @> '["flow"]'),
      ('max_steps', format('may come to %s steps, and %s are allowed', s.step ->> 'max_steps', v_max_steps),
        case when jsonb_typeof(s.step -> 'max_steps') = 'number' then (s.step ->> 'max_steps')::numeric > v_max_steps end)
  ) as r(key, problem, is_wrong)
  where s.step_type = 'plan'
    and r.is_wrong

  union all
  select 'QF118', format('steps[%s].%s[%s]', s.index, k.key, i.number - 1),
    format('%s of plan step %s must be %s, not %s', k.key, s.shown, k.wanted, quantumflow._shown(i.value)), s.index
  from quantumflow._named_steps(p_definition) s
  cross join (
    values
      ('may_use', 'commands of 1 to 256 characters'),
      ('may_use_types', '"single", "map", "flow" or "plan"'),
      ('may_use_flows', 'slugs of workflows')
  ) as k(key, wanted)
  cross join lateral jsonb_array_elements(quantumflow._array(s.step -> k.key)) with ordinality as i(value, number)
  where s.step_type = 'plan'
    and case k.key
      when 'may_use_types' then i.value not in ('"single"', '"map"', '"flow"', '"plan"')
      else jsonb_typeof(i.value) <> 'string' or length(i.value #>> '{}') not between 1 and 256
    end;
end
$_plan_problems$;

comment on function quantumflow._plan_problems(jsonb) is 'What is wrong with the bounds of steps that ask for a plan.';

create function quantumflow._bounds_of_plan(p_plan jsonb)
returns quantumflow._planned
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_bounds_of_plan$
begin
  return row(
    quantumflow._texts(p_plan -> 'may_use'),
    quantumflow._texts(p_plan -> 'may_use_types'),
    coalesce((p_plan ->> 'max_steps')::bigint, quantumflow._limit('max_plan_steps')),
    false,
    jsonb_build_object(
      'timeout', p_plan #> '{step,timeout}', 'max_attempts', p_plan #> '{step,max_attempts}', 'retry_delay', p_plan #> '{step,retry_delay}'),
    quantumflow._texts(p_plan -> 'may_use_flows'))::quantumflow._planned;
end
$_bounds_of_plan$;

comment on function quantumflow._bounds_of_plan(jsonb) is 'What the tasks of a plan may have.';

create function quantumflow._within_bounds(p_steps jsonb, p_may quantumflow._planned)
returns jsonb
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_within_bounds$
begin
  if not p_steps @? '$[*] ? (@.type == "plan")' then
    return p_steps;
  end if;

  return (
    select jsonb_agg(
      s.value || case
        when s.value -> 'type' = '"plan"' then jsonb_build_object(
          'may_use', quantumflow._both(s.value -> 'may_use', p_may.commands),
          'may_use_types', quantumflow._both(coalesce(s.value -> 'may_use_types', '["single", "map"]'), p_may.types),
          'may_use_flows', quantumflow._both(s.value -> 'may_use_flows', p_may.flows),
          'max_steps', case
            when coalesce(jsonb_typeof(s.value -> 'max_steps'), 'null') = 'null' then to_jsonb(p_may.max_tasks)
            when jsonb_typeof(s.value -> 'max_steps') = 'number' then to_jsonb(least((s.value ->> 'max_steps')::numeric, p_may.max_tasks))
            else s.value -> 'max_steps'
          end)
        else '{}'
      end
      order by s.number)
    from jsonb_array_elements(p_steps) with ordinality as s(value, number));
end
$_within_bounds$;

comment on function quantumflow._within_bounds(jsonb, quantumflow._planned) is
'Steps of a plan, of which those that ask for a plan in turn may have nothing that this one may not.';

create function quantumflow._both(p_wanted jsonb, p_allowed text[])
returns jsonb
language sql
immutable
return (
  select coalesce(jsonb_agg(i.value order by i.number), '[]')
  from jsonb_array_elements(quantumflow._array(p_wanted)) with ordinality as i(value, number)
  where p_allowed is null
    or i.value #>> '{}' = any (p_allowed));

comment on function quantumflow._both(jsonb, text[]) is 'Those of a list that are allowed; null: all are.';

create function quantumflow._commands_for_planner(p_may_use text[])
returns jsonb
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_commands_for_planner$
begin
  return (
    select coalesce(
      jsonb_agg(
        jsonb_strip_nulls(jsonb_build_object('name', u.command, 'description', d.description))
          || case when d.args_schema is null then '{}' else jsonb_build_object('args_schema', d.args_schema) end
        order by u.n),
      '[]')
    from unnest(p_may_use) with ordinality u (command, n)
    left join quantumflow.described_commands d
      on d.command = u.command
  );
end
$_commands_for_planner$;

comment on function quantumflow._commands_for_planner(text[]) is 'What a planner is told of the commands that it may use: [{"name", "description", "args_schema"}].';
