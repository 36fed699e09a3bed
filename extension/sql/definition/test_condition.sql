create type quantumflow.condition_answer as (
  result boolean,
  reason text,
  saw    jsonb
);

comment on type quantumflow.condition_answer is 'What test_condition() returns.';
comment on column quantumflow.condition_answer.result is
'Of an "if", true: the step runs; false: its "otherwise" decides. Of a loop what its "until" or "while" says. null: unknown, and the step fails.';
comment on column quantumflow.condition_answer.reason is
'Why it is unknown, or that the step has no condition and runs; else null.';
comment on column quantumflow.condition_answer.saw is
'By each path of the condition that begins with $: an array of what it finds, the first ten values, long ones in short; or a text, which
says why it finds none.';

create function quantumflow.test_condition(
  workflow_slug text,
  step_slug     text,
  input         jsonb,
  status        jsonb default '{}',
  version       int default null,
  iteration     int default null
)
returns quantumflow.condition_answer
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $test_condition$
declare
  v_step      quantumflow.workflow_steps;
  v_condition text;
  v_variables jsonb;
  v_result    boolean;
begin
  perform quantumflow._refuse_nulls(jsonb_build_object(
    'step_slug', test_condition.step_slug, 'input', test_condition.input is not null or null,
    'status', test_condition.status is not null or null));
  -- Refuses what there is not.
  perform quantumflow.get_flow(test_condition.workflow_slug, test_condition.version);

  select s.*
  into v_step
  from quantumflow.workflows w
  join quantumflow.workflow_steps s
    on s.workflow_slug = w.workflow_slug
    and s.version = coalesce(test_condition.version, w.current_version)
  where w.workflow_slug = test_condition.workflow_slug
    and s.step_slug = test_condition.step_slug
    and s.counts;

  if not found then
    raise exception 'workflow "%" has no step "%"', test_condition.workflow_slug, test_condition.step_slug
    using
      errcode = 'QF120',
      detail = 'No step of that version has this name; upper and lower case matter.',
      hint = format('select quantumflow.get_flow(%L) shows its steps.', test_condition.workflow_slug);
  end if;

  v_condition := v_step.condition;
  if test_condition.iteration is not null then
    v_condition := coalesce(v_step.loop_until, v_step.loop_while);

    if not v_step.repeats then
      raise exception 'step "%" has no iteration %', test_condition.step_slug, test_condition.iteration
      using
        errcode = 'QF221',
        detail = format('It is of type "%s", and only a loop has iterations.', v_step.step_type),
        hint = 'Leave iteration out to test the "if" of the step.';
    end if;
  end if;

  v_variables := jsonb_strip_nulls(jsonb_build_object(
    'status', quantumflow._statuses(v_step, test_condition.input, test_condition.status),
    'iteration', test_condition.iteration));

  if v_condition is null then
    return row(true, 'the step has no condition', '{}'::jsonb)::quantumflow.condition_answer;
  end if;

  v_result := quantumflow._holds(v_condition, test_condition.input, v_variables);

  return row(
    v_result,
    case when v_result is null then quantumflow._why_unknown(v_condition, test_condition.input, v_variables) end,
    quantumflow._saw(v_condition, test_condition.input, v_variables)
  )::quantumflow.condition_answer;
end
$test_condition$;

comment on function quantumflow.test_condition(text, text, jsonb, jsonb, int, int) is
'What the "if" of a step says of an input, or the "until" or "while" of a loop, and what each of its paths finds there. Nothing is changed.

input: as the step is given it, an object with "run" and each dependency that completed. status: what became of dependencies, by name,
as $status has it: "completed", "skipped" or "failed"; of one that is not named, "completed" if input has it or it is only waited for
("after"), and "skipped" otherwise. version: the current one unless told otherwise. iteration: after which iteration, from 0, the condition of a loop is
asked, of an input in which "last" is what that has put out; without it, it is its "if".
Errors: QF101 an argument that is null, or a status that is none or of no dependency; QF111 unknown workflow; QF112 unknown version;
QF120 unknown step; QF221 an iteration of what is no loop.';

create function quantumflow._statuses(p_step quantumflow.workflow_steps, p_input jsonb, p_status jsonb)
returns jsonb
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_statuses$
declare
  v_names text[] := p_step.dependencies || p_step.after;
  v_wrong text;
begin
  if jsonb_typeof(p_status) <> 'object' then
    v_wrong := quantumflow._shown(p_status);
  else
    select format('%s: %s', s.key, quantumflow._shown(s.value))
    into v_wrong
    from jsonb_each(p_status) as s
    where s.key <> all (v_names)
      or s.value not in ('"completed"', '"skipped"', '"failed"')
    order by s.key
    limit 1;
  end if;

  if v_wrong is not null then
    raise exception 'status has what no dependency of step "%" can have', p_step.step_slug
    using
      errcode = 'QF101',
      detail = format('It is %s.', v_wrong),
      hint = format(
        'An object, each key one of %s, each value "completed", "skipped" or "failed".',
        coalesce(nullif(array_to_string(v_names, ', '), ''), '(none)'));
  end if;

  return (
    select coalesce(
      jsonb_object_agg(n.name, case when n.name = any (p_step.after) or p_input ? n.name then 'completed' else 'skipped' end),
      '{}') || p_status
    from unnest(v_names) as n(name));
end
$_statuses$;

comment on function quantumflow._statuses(quantumflow.workflow_steps, jsonb, jsonb) is
'What $status is where a condition is tested, as test_condition says.

Errors: QF101 when p_status has what it cannot.';
