-- Rules: hierarchical task networks. A goal, or a task that is not to be done as it is, comes to the tasks of the first rule that fits and can
-- be decomposed to the end.

create type quantumflow._expansion as (
  tasks   jsonb,
  used    int,
  code    text,
  message text
);

comment on type quantumflow._expansion is
'What a goal came to: tidy tasks, or none and why, with a code; and how many rules were tried.';

create type quantumflow._rule_bounds as (
  max_depth int,
  max_rules int,
  max_tasks int,
  until     timestamptz,
  context   jsonb
);

comment on type quantumflow._rule_bounds is
'How far a decomposition goes: how deep, how many rules it tries, how many tasks it comes to, and until when, by the clock of the server. And the
context, which is the same all along.';

create function quantumflow._bounds_of(p_decomposer quantumflow.decomposers, p_context jsonb, p_max_depth int)
returns quantumflow._rule_bounds
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_bounds_of$
begin
  return row(
    least(quantumflow._limit('orchestrator.max_depth'), p_decomposer.max_depth, p_max_depth),
    10 * quantumflow._limit('max_plans'),
    quantumflow._limit('max_plan_steps'),
    clock_timestamp() + coalesce(p_decomposer.timeout, make_interval(secs => quantumflow._limit('orchestrator.timeout_ms') / 1000.0)),
    p_context
  )::quantumflow._rule_bounds;
end
$_bounds_of$;

comment on function quantumflow._bounds_of(quantumflow.decomposers, jsonb, int) is
'How far a decomposer may go, by itself, by the settings and by what this goal''s options say. Ten rules are tried for each plan that a root may have.';

create function quantumflow._expand(
  p_decomposer quantumflow.decomposers,
  p_goal       text,
  p_task       text,
  p_args       jsonb,
  p_depth      int,
  p_used       int,
  p_bounds     quantumflow._rule_bounds)
returns quantumflow._expansion
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_expand$
declare
  v_said   text := case when p_task is null then format('goal %s', quantumflow._shown(to_jsonb(p_goal))) else format('task "%s"', p_task) end;
  v_used   int := p_used;
  v_method record;
  v_found  quantumflow._expansion;
  v_flaw   quantumflow._expansion;
begin
  if p_depth > p_bounds.max_depth then
    return row(null, v_used, 'QF604', format('%s is nested deeper than %s times', v_said, p_bounds.max_depth))::quantumflow._expansion;
  end if;

  for v_method in
    select m.number, m.graph, m.condition, s.match
    from quantumflow.methods m
    cross join lateral (select to_jsonb(regexp_match(p_goal, m.pattern, 'i')) as match) s
    where m.decomposer = p_decomposer.name
      and m.task is not distinct from p_task
      and (m.pattern is null or s.match is not null)
    order by m.number
  loop
    if v_used >= p_bounds.max_rules then
      return row(null, v_used, 'QF605', format('%s rules were tried, and %s may be', v_used, p_bounds.max_rules))::quantumflow._expansion;
    elsif clock_timestamp() > p_bounds.until then
      return row(null, v_used, 'QF613', format('decomposer "%s" takes longer than it may', p_decomposer.name))::quantumflow._expansion;
    end if;

    v_used := v_used + 1;
    continue when v_method.condition is not null and quantumflow._holds(
      v_method.condition,
      jsonb_build_object(
        'goal', p_goal, 'context', p_bounds.context, 'args', p_args, 'match', coalesce(v_method.match, '[]')),
      '{}') is not true;

    v_found := quantumflow._expand_tasks(
      p_decomposer, quantumflow._tidy_tasks(quantumflow._graph_tasks(v_method.graph)), p_depth, v_used, p_bounds);
    v_used := v_found.used;

    if v_found.tasks is not null or v_found.code in ('QF605', 'QF613') then
      return v_found;
    end if;

    v_flaw := coalesce(v_flaw, v_found);
  end loop;

  if v_flaw.code is null then
    v_flaw := row(null, v_used, 'QF601', format('decomposer "%s" has no rule for %s', p_decomposer.name, v_said))::quantumflow._expansion;
  end if;

  return row(null, v_used, v_flaw.code, v_flaw.message)::quantumflow._expansion;
end
$_expand$;

comment on function quantumflow._expand(quantumflow.decomposers, text, text, jsonb, int, int, quantumflow._rule_bounds) is
'What a goal, or a task of p_args that a rule is for, comes to by the rules of a decomposer: of the first rule that fits and comes to an end. p_depth: how
often it is nested. p_used: how many rules were tried before.';

create function quantumflow._expand_tasks(
  p_decomposer quantumflow.decomposers,
  p_tasks      jsonb,
  p_depth      int,
  p_used       int,
  p_bounds     quantumflow._rule_bounds)
returns quantumflow._expansion
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_expand_tasks$
declare
  v_ids    text[] := '{}';
  v_belows jsonb[] := '{}';
  v_count  int := jsonb_array_length(p_tasks);
  v_used   int := p_used;
  v_task   jsonb;
  v_goal   text;
  v_below  quantumflow._expansion;
begin
  for v_task in
    select o.value
    from jsonb_array_elements(p_tasks) with ordinality as o(value, number)
    order by o.number
  loop
    v_goal := quantumflow._normal_goal(v_task ->> 'goal');

    if v_goal is not null then
      v_below := quantumflow._expand_by_any(p_decomposer, v_goal, coalesce(v_task -> 'args', '{}'), p_depth + 1, v_used, p_bounds);
    elsif quantumflow._is_compound(p_decomposer.name, quantumflow._task_command(v_task)) then
      v_below := quantumflow._expand(
        p_decomposer, null, quantumflow._task_command(v_task), coalesce(v_task -> 'args', '{}'), p_depth + 1, v_used, p_bounds);
    else
      continue;
    end if;

    v_used := v_below.used;
    if v_below.tasks is null then
      return v_below;
    end if;

    v_ids := v_ids || quantumflow._id_text(v_task -> 'id');
    v_belows := v_belows || v_below.tasks;
    v_count := v_count - 1 + jsonb_array_length(v_below.tasks);

    if v_count > p_bounds.max_tasks then
      return row(
        null, v_used, 'QF603', format('it comes to %s tasks, and %s are allowed', v_count, p_bounds.max_tasks)
      )::quantumflow._expansion;
    end if;
  end loop;

  return row(quantumflow._put_in_place(p_tasks, v_ids, v_belows), v_used, null, null)::quantumflow._expansion;
end
$_expand_tasks$;

comment on function quantumflow._expand_tasks(quantumflow.decomposers, jsonb, int, int, quantumflow._rule_bounds) is
'Tidy tasks with what they come to in place of those that are goals, or that a rule is for.';

create function quantumflow._expand_by_any(
  p_decomposer quantumflow.decomposers,
  p_goal       text,
  p_args       jsonb,
  p_depth      int,
  p_used       int,
  p_bounds     quantumflow._rule_bounds)
returns quantumflow._expansion
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_expand_by_any$
declare
  v_found    quantumflow._expansion := quantumflow._expand(p_decomposer, p_goal, null, p_args, p_depth, p_used, p_bounds);
  v_fallback quantumflow.decomposers;
begin
  if v_found.code is distinct from 'QF601' or p_decomposer.fallback is null then
    return v_found;
  end if;

  v_fallback := quantumflow._decomposer(p_decomposer.fallback);

  -- A command answers when a worker has asked it: the task goes on being a goal, and says whose.
  if v_fallback.kind = 'command' then
    return row(
      jsonb_build_array(
        jsonb_build_object('id', 'plan', 'goal', p_goal, 'decomposer', v_fallback.name, 'depth', p_depth)
          || case when p_args = '{}' then '{}' else jsonb_build_object('args', p_args) end),
      v_found.used, null, null
    )::quantumflow._expansion;
  end if;

  return quantumflow._expand_by_any(v_fallback, p_goal, p_args, p_depth, v_found.used, p_bounds);
end
$_expand_by_any$;

comment on function quantumflow._expand_by_any(quantumflow.decomposers, text, jsonb, int, int, quantumflow._rule_bounds) is
'What a goal comes to by the rules of a decomposer or, where none fits, of that on which it falls back; a task for a planner, where that is a command.';

create function quantumflow._is_compound(p_decomposer text, p_command text)
returns boolean
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_is_compound$
begin
  return exists (
    select
    from quantumflow.methods m
    where m.decomposer = p_decomposer
      and m.task = p_command
  );
end
$_is_compound$;

comment on function quantumflow._is_compound(text, text) is 'Whether a decomposer has rules for the tasks of a command.';

create function quantumflow._task_command(p_task jsonb)
returns text
language sql
immutable
return coalesce(p_task ->> 'command', quantumflow._id_text(p_task -> 'id'));

comment on function quantumflow._task_command(jsonb) is 'The command of a tidy task: its id, unless it says another.';

create function quantumflow._normal_goal(p_goal text)
returns text
language sql
immutable
return nullif(btrim(regexp_replace(p_goal, '\s+', ' ', 'g')), '');

comment on function quantumflow._normal_goal(text) is 'A goal in its one form: its blanks are one each. Null when it has no words.';

create function quantumflow._put_in_place(p_tasks jsonb, p_ids text[], p_belows jsonb[])
returns jsonb
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_put_in_place$
declare
  v_belows jsonb[];
  v_leaves jsonb[];
begin
  if p_ids = '{}' then
    return p_tasks;
  end if;

  select array_agg(k.below order by k.n), array_agg(quantumflow._leaves_of(k.below) order by k.n)
  into v_belows, v_leaves
  from (
    select u.n, quantumflow._named_below(u.below, u.id) as below
    from unnest(p_ids, p_belows) with ordinality u (id, below, n)
    offset 0
  ) k;

  -- Who waited for one of them waits for its leaves.
  return (
    select jsonb_agg(quantumflow._waiting_for(t.task, p_ids, v_leaves) order by t.number, t.below)
    from (
      select o.number, 0 as below, o.value as task
      from jsonb_array_elements(p_tasks) with ordinality as o(value, number)
      where quantumflow._id_text(o.value -> 'id') <> all (p_ids)

      union all
      select
        o.number, b.number,
        b.value
          || case
            when jsonb_array_length(b.value -> 'depends_on') = 0 and o.value ? 'depends_on' then jsonb_build_object('depends_on', o.value -> 'depends_on')
            else '{}'
          end
          || case when o.value -> 'critical' = 'false' then '{"critical": false}'::jsonb else '{}' end
          -- What the task was told, its own tasks are told.
          || case when o.value ? 'args' and not b.value ? 'args' then jsonb_build_object('args', o.value -> 'args') else '{}' end
      from jsonb_array_elements(p_tasks) with ordinality as o(value, number)
      cross join lateral jsonb_array_elements(
        v_belows[array_position(p_ids, quantumflow._id_text(o.value -> 'id'))]) with ordinality as b(value, number)
    ) t);
end
$_put_in_place$;

comment on function quantumflow._put_in_place(jsonb, text[], jsonb[]) is
'Tidy tasks with others in place of some of them, all in one pass. Those that wait for nothing wait for what the task in whose place they are waited
for; what waited for that waits for those that none of them waits for.';

create function quantumflow._leaves_of(p_tasks jsonb)
returns jsonb
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_leaves_of$
begin
  return (
    select jsonb_agg(b.value -> 'id' order by b.number)
    from jsonb_array_elements(p_tasks) with ordinality as b(value, number)
    where not exists (
      select
      from jsonb_array_elements(p_tasks) o
      where o -> 'depends_on' @> jsonb_build_array(b.value -> 'id')
    )
  );
end
$_leaves_of$;

comment on function quantumflow._leaves_of(jsonb) is 'The ids of those of some tidy tasks on which none of the others depends.';

create function quantumflow._named_below(p_tasks jsonb, p_id text)
returns jsonb
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_named_below$
declare
  v_before text := p_id || '__';
  v_task   jsonb;
  v_name   text;
  v_if     text;
  v_tasks  jsonb := '[]';
begin
  for v_task in
    select o.value
    from jsonb_array_elements(p_tasks) with ordinality as o(value, number)
    order by o.number
  loop
    v_if := v_task ->> 'if';

    for v_name in
      select quantumflow._step_name_of(i.id)
      from jsonb_array_elements_text(quantumflow._id_texts(v_task -> 'depends_on') || quantumflow._id_texts(v_task -> 'after')) i (id)
    loop
      v_if := regexp_replace(v_if, format(E'(\\$(?:status)?\\.)%s\\M', v_name), E'\\1' || quantumflow._step_name_of(v_before || v_name), 'g');
    end loop;

    v_tasks := v_tasks || jsonb_build_array(
      v_task || jsonb_strip_nulls(jsonb_build_object(
        'id', v_before || quantumflow._id_text(v_task -> 'id'),
        'depends_on', quantumflow._ids_below(coalesce(v_task -> 'depends_on', '[]'), v_before),
        'after', quantumflow._ids_below(v_task -> 'after', v_before),
        'map_over', v_before || quantumflow._id_text(v_task -> 'map_over'),
        'command', coalesce(v_task -> 'command', case when not v_task ? 'goal' then v_task -> 'id' end),
        'if', v_if)));
  end loop;

  return v_tasks;
end
$_named_below$;

comment on function quantumflow._named_below(jsonb, text) is
'Tidy tasks that are to stand in place of another: the id of that and two underscores go before theirs, also where they wait for each other, and
where an "if" asks for one.';

create function quantumflow._ids_below(p_ids jsonb, p_before text)
returns jsonb
language sql
immutable
return case
  when jsonb_typeof(p_ids) = 'array' then (
    select coalesce(jsonb_agg(p_before || i.id order by i.number), '[]')
    from jsonb_array_elements_text(quantumflow._id_texts(p_ids)) with ordinality as i(id, number)
  )
end;

comment on function quantumflow._ids_below(jsonb, text) is 'Ids, each with a text before it; null when there are none.';

create function quantumflow._replaced(p_ids jsonb, p_from text[], p_to jsonb[])
returns jsonb
language sql
immutable
return case
  when jsonb_typeof(p_ids) = 'array' then (
    select coalesce(jsonb_agg(r.id order by i.number, r.number), '[]')
    from jsonb_array_elements_text(quantumflow._id_texts(p_ids)) with ordinality as i(id, number)
    cross join lateral jsonb_array_elements_text(
      coalesce(p_to[array_position(p_from, i.id)], jsonb_build_array(i.id))) with ordinality as r(id, number)
  )
end;

comment on function quantumflow._replaced(jsonb, text[], jsonb[]) is
'Ids with others in place of those of p_from, which p_to has at the same places; null when there are none.';

create function quantumflow._waiting_for(p_task jsonb, p_from text[], p_to jsonb[])
returns jsonb
language sql
immutable
return p_task || jsonb_strip_nulls(jsonb_build_object(
  'depends_on', quantumflow._replaced(p_task -> 'depends_on', p_from, p_to),
  'after', quantumflow._replaced(p_task -> 'after', p_from, p_to),
  'map_over', (
    select t.leaves -> 0
    from (select p_to[array_position(p_from, quantumflow._id_text(p_task -> 'map_over'))] as leaves) t
    where jsonb_array_length(t.leaves) = 1
  )));

comment on function quantumflow._waiting_for(jsonb, text[], jsonb[]) is
'A tidy task that waits for others in place of those that it waited for, where it did: see _replaced.';
