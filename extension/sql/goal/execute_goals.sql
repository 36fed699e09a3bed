create type quantumflow.begun_goal as (
  goal_id uuid,
  run_id  uuid
);

comment on type quantumflow.begun_goal is 'A row of execute_goals().';
comment on column quantumflow.begun_goal.goal_id is 'The goal.';
comment on column quantumflow.begun_goal.run_id is 'Its run; null where it came to none: goal_status tells why.';

create function quantumflow.execute_goals(goals jsonb, decomposer text, options jsonb default '{}')
returns setof quantumflow.begun_goal
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $execute_goals$
declare
  v_goal  jsonb;
  v_begun quantumflow.goals;
begin
  perform quantumflow._refuse_bad_goals(execute_goals.goals);
  -- What is wrong with all of them is refused, and no goal's own.
  perform quantumflow._decomposer(execute_goals.decomposer);
  perform quantumflow._refuse_bad_options(coalesce(execute_goals.options, '{}'), '{max_depth,priority,headers,cache}');

  for v_goal in
    select case jsonb_typeof(g.value) when 'string' then jsonb_build_object('goal', g.value) else g.value end
    from jsonb_array_elements(execute_goals.goals) with ordinality as g(value, number)
    order by g.number
  loop
    v_begun := quantumflow._try_goal(v_goal, execute_goals.decomposer, coalesce(execute_goals.options, '{}'));

    return query
    select v_begun.goal_id, v_begun.run_id;
  end loop;
end
$execute_goals$;

comment on function quantumflow.execute_goals(jsonb, text, jsonb) is
'Has several goals executed, all begun in one transaction; their ids, in the order given. One that cannot be decomposed is failed from the start, and
harms no other.

goals: an array, each a text or an object of "goal", "context", "options", which come before those for all, "decomposer" and "idempotency_key"; at most 10,000.

Errors: QF608 unknown decomposer; QF612 what is no array of goals, or options that are none.';

create function quantumflow._refuse_bad_goals(p_goals jsonb)
returns void
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_refuse_bad_goals$
declare
  v_wrong text := case
    when jsonb_typeof(p_goals) is distinct from 'array' then 'goals must be an array, not ' || quantumflow._shown(p_goals)
    when jsonb_array_length(p_goals) > 10000 then format('there are %s goals, and 10000 are allowed', jsonb_array_length(p_goals))
    else (
      select format('goal %s must be a text, or an object with "goal", not %s', g.number, quantumflow._shown(g.value))
      from jsonb_array_elements(p_goals) with ordinality as g(value, number)
      where case jsonb_typeof(g.value)
        when 'string' then false
        when 'object' then jsonb_typeof(g.value -> 'goal') is distinct from 'string'
          or g.value - array['goal', 'context', 'options', 'decomposer', 'idempotency_key'] <> '{}'
          or g.value @? 'strict $.keyvalue() ? ((@.key == "decomposer" || @.key == "idempotency_key") && @.value.type() != "string")'
          or g.value @? 'strict $.keyvalue() ? ((@.key == "context" || @.key == "options") && @.value.type() != "object")'
        else true
      end
      order by g.number
      limit 1
    )
  end;
begin
  if v_wrong is not null then
    raise exception '%', v_wrong
    using
      errcode = 'QF612',
      detail = 'An object may also have "context" and "options", which are objects, and "decomposer" and "idempotency_key", which are texts.',
      hint = 'For example: select * from quantumflow.execute_goals(''["ship order 17", "ship order 18"]'', ''orders'').';
  end if;
end
$_refuse_bad_goals$;

comment on function quantumflow._refuse_bad_goals(jsonb) is
'Refuses what is no array of goals.

Errors: QF612.';

create function quantumflow._try_goal(p_goal jsonb, p_decomposer text, p_options jsonb)
returns quantumflow.goals
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_try_goal$
declare
  v_decomposer text := coalesce(p_goal ->> 'decomposer', p_decomposer);
  v_context    jsonb := coalesce(p_goal -> 'context', '{}');
  v_options    jsonb := p_options || coalesce(p_goal -> 'options', '{}');
  v_goal       quantumflow.goals;
  v_problems   text;
begin
  return quantumflow._begin_goal(p_goal ->> 'goal', v_decomposer, v_context, v_options, p_goal ->> 'idempotency_key', true);
exception
  when others then
    -- These are none of the goal's: the whole call is to be made again.
    if quantumflow._is_of_the_call(sqlstate) then
      raise;
    end if;

    get stacked diagnostics v_problems = pg_exception_detail;

    insert into quantumflow.goals as g
      (goal_id, goal, decomposer, context, options, executes, created_at, failed_at, error_code, error_message, problems)
    select
      quantumflow._uuid_v7(), p_goal ->> 'goal', v_decomposer, v_context, v_options, true, n.at, n.at, sqlstate, quantumflow._cut(sqlerrm),
      quantumflow._cut(nullif(v_problems, ''))
    from quantumflow._now() n (at)
    returning *
    into v_goal;

    return v_goal;
end
$_try_goal$;

comment on function quantumflow._try_goal(jsonb, text, jsonb) is
'Begins a goal, or writes down why it cannot be: so it harms no other. It has no key then, so that it may be tried again.';
