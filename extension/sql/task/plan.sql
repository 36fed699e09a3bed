-- Steps that ask for a plan. Each of their tasks waits for a run: in all but the last a worker is asked for a graph of tasks, and the output of such
-- a task is {"asked?", "steps"} if the graph is good, else {"asked?", "problems"}; the last is the run of the graph.

create function quantumflow._said_before(p_held quantumflow._held_task)
returns jsonb
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_said_before$
begin
  return (
    select t.output
    from quantumflow.step_tasks t
    where (t.run_id, t.step_slug, t.task_index) = (p_held.run_id, p_held.step_slug, p_held.task_index - 1)
  );
end
$_said_before$;

comment on function quantumflow._said_before(quantumflow._held_task) is 'What the task before this one of a plan came to; null when it is the first.';

create function quantumflow._steps_to_run(p_held quantumflow._held_task)
returns jsonb
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_steps_to_run$
begin
  return quantumflow._said_before(p_held) -> 'steps';
end
$_steps_to_run$;

comment on function quantumflow._steps_to_run(quantumflow._held_task) is 'The steps of which a task of a plan is to be a run; null: it asks for them.';

create function quantumflow._take_plan(p_due quantumflow._due_task, p_output jsonb)
returns quantumflow._due_task
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_take_plan$
declare
  v_may      quantumflow._planned := quantumflow._bounds_of_plan(p_due.plan);
  v_problems jsonb;
begin
  select jsonb_agg(to_jsonb(p))
  into v_problems
  from (
    select l.*
    from quantumflow._task_graph_problems(p_output -> 'plan', v_may) l
    limit 100
  ) p;

  p_due.verdict := 'completes';

  if v_problems is null then
    p_due.output := jsonb_build_object(
      'asked?', true,
      'steps', quantumflow._within_bounds(
        quantumflow._steps_of_tasks(quantumflow._tidy_tasks(quantumflow._graph_tasks(p_output -> 'plan'))), v_may));
    p_due.kind := 'plan';
    p_due.error_message := quantumflow._excess(p_due.output, false);
  else
    p_due.output := jsonb_build_object('asked?', true, 'problems', v_problems);

    if (p_due.held).status = 'queued' then
      -- It was retried by hand: the same answer would be as bad, and it is to ask again.
      p_due.child_id := null;
      p_due.verdict := 'asks';
    elsif (p_due.held).task_index + 1 >= (p_due.plan #>> '{step,max_attempts}')::int then
      p_due.kind := 'plan';
      p_due.error_message := 'its plan is no good: ' || quantumflow._listed_problems(v_problems);
    end if;
  end if;

  if p_due.error_message is not null then
    p_due.verdict := 'fails';
    p_due.error_message := quantumflow._cut(p_due.error_message);
  end if;

  return p_due;
end
$_take_plan$;

comment on function quantumflow._take_plan(quantumflow._due_task, jsonb) is
'What a task comes to that has asked for a plan, and was answered: the steps of the plan, or what is wrong with it, of which the planner is told when it is
asked next; after max_attempts it fails. One that was queued again, after that, asks.';

create function quantumflow._with_plans(p_due quantumflow._due_task[])
returns quantumflow._due_task[]
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_with_plans$
declare
  v_due   quantumflow._due_task[] := p_due;
  v_found record;
begin
  for v_found in
    select d.ordinality as n, d.plan, d.input - quantumflow._names_of_loops() as input, quantumflow._said_before(d.held) as said, d.output as answered
    from unnest(p_due) with ordinality d
    where d.verdict = 'starts'
      and d.plan is not null
  loop
    v_due[v_found.n].output := null;
    v_due[v_found.n].input := v_found.input;

    if v_found.said ? 'steps' then
      v_due[v_found.n].definition := (v_found.plan -> 'step') - array['name', 'command', 'args'] || jsonb_build_object('steps', v_found.said -> 'steps');
    else
      v_due[v_found.n].definition := jsonb_build_object('title', 'a question for a plan', 'steps', jsonb_build_array(v_found.plan -> 'step'));
      v_due[v_found.n].input := v_found.input || jsonb_build_object(
        'problems', coalesce(v_found.answered -> 'problems', v_found.said -> 'problems', '[]'),
        'commands', quantumflow._commands_for_planner(quantumflow._texts(v_found.plan -> 'may_use')),
        'flows', v_found.plan -> 'may_use_flows',
        'types', v_found.plan -> 'may_use_types',
        'max_steps', (quantumflow._bounds_of_plan(v_found.plan)).max_tasks);
    end if;
  end loop;

  return v_due;
end
$_with_plans$;

comment on function quantumflow._with_plans(quantumflow._due_task[]) is
'Tasks whose runs are to start, those of plans with the definition of theirs: the question, or the plan that was the answer.';

create function quantumflow._plans_and_steps(p_due quantumflow._due_task[])
returns table (n bigint, root_run_id uuid, plans bigint, plan_steps bigint)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_plans_and_steps$
begin
  return query
  select
    d.ordinality, r.root_run_id,
    sum((d.definition ? 'title')::int) over next,
    sum(case when d.definition ? 'title' then 0 else jsonb_array_length(d.definition -> 'steps') end) over next
  from unnest(p_due) with ordinality d
  cross join lateral (
    select coalesce(l.root_run_id, l.id) as root_run_id
    from quantumflow.workflow_runs l
    where l.id = (d.held).run_id
    limit 1
  ) r
  where d.verdict = 'starts'
    and d.plan is not null
  window next as (partition by r.root_run_id order by d.ordinality);
end
$_plans_and_steps$;

comment on function quantumflow._plans_and_steps(quantumflow._due_task[]) is
'How many plans tasks ask for, and how many steps those have that they run, added up in each tree.';

create function quantumflow._within_plans(p_due quantumflow._due_task[])
returns quantumflow._due_task[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_within_plans$
declare
  v_due       quantumflow._due_task[] := p_due;
  v_max_plans bigint := quantumflow._limit('max_plans');
  v_max_steps bigint := quantumflow._limit('max_plan_steps');
  v_found     record;
begin
  for v_found in
    select k.n, k.plans + coalesce(t.plans, 0) as plans, k.plan_steps + coalesce(t.plan_steps, 0) as plan_steps
    from quantumflow._plans_and_steps(p_due) k
    left join lateral (
      select l.plans, l.plan_steps
      from quantumflow._trees l
      where l.root_run_id = k.root_run_id
    ) t on true
  loop
    continue when v_found.plans <= v_max_plans and v_found.plan_steps <= v_max_steps;

    v_due[v_found.n].verdict := 'fails';
    v_due[v_found.n].kind := 'plan';
    v_due[v_found.n].error_message := case
      when v_found.plans > v_max_plans then format('its tree would ask for %s plans, and max_plans allows %s', v_found.plans, v_max_plans)
      else format('the plans of its tree would have %s steps, and max_plan_steps allows %s', v_found.plan_steps, v_max_steps)
    end;
  end loop;

  return v_due;
end
$_within_plans$;

comment on function quantumflow._within_plans(quantumflow._due_task[]) is
'Tasks whose runs are to start, without those whose tree would ask for too many plans, or have too many steps by these: they fail. The caller holds the
trees'' counters.';

create function quantumflow._count_plans(p_due quantumflow._due_task[])
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_count_plans$
begin
  if p_due = '{}' then
    return;
  end if;

  update quantumflow._trees t
  set
    plans = t.plans + k.plans,
    plan_steps = t.plan_steps + k.plan_steps
  from (
    select o.root_run_id, max(o.plans)::int as plans, max(o.plan_steps)::int as plan_steps
    from quantumflow._plans_and_steps(p_due) o
    group by o.root_run_id
  ) k
  where t.root_run_id = k.root_run_id;
end
$_count_plans$;

comment on function quantumflow._count_plans(quantumflow._due_task[]) is
'Counts plans that were asked for, and run, in their trees. The caller holds the trees'' counters.';
