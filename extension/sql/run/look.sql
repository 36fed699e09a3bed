create function quantumflow.run_input(run_id uuid)
returns jsonb
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $run_input$
declare
  v_input jsonb;
begin
  select r.input
  into v_input
  from quantumflow.workflow_runs r
  where r.id = run_input.run_id;

  if not found then
    perform quantumflow._raise_unknown_run(run_input.run_id);
  end if;

  return v_input;
end
$run_input$;

comment on function quantumflow.run_input(uuid) is
'What a run was started with: for the tasks of a map, which are handed only their own item.

Errors: QF201 unknown run.';

create function quantumflow.step_output(run_id uuid, step_slug text)
returns jsonb
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $step_output$
begin
  perform quantumflow._refuse_unknown_step(step_output.run_id, step_output.step_slug);

  return quantumflow._step_output(step_output.run_id, step_output.step_slug);
end
$step_output$;

comment on function quantumflow.step_output(uuid, text) is
'The output of a step of a run, a map''s as an array in index order; null while the step is not completed.

Errors: QF201 unknown run; QF307 the run has no such step.';

create function quantumflow._refuse_unknown_step(p_run_id uuid, p_step_slug text)
returns void
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_refuse_unknown_step$
begin
  perform
  from quantumflow.step_states s
  where (s.run_id, s.step_slug) = (p_run_id, p_step_slug);

  if not found then
    perform quantumflow.run_input(p_run_id);

    raise exception 'run % has no step "%"', p_run_id, coalesce(p_step_slug, 'null')
    using
      errcode = 'QF307',
      detail = 'Step names are case-sensitive.',
      hint = 'select * from quantumflow.step_states where run_id = ... shows its steps.';
  end if;
end
$_refuse_unknown_step$;

comment on function quantumflow._refuse_unknown_step(uuid, text) is
'Refuses a step that a run does not have.

Errors: QF201 unknown run; QF307 the run has no such step.';

create function quantumflow.find_run(run_id_prefix text)
returns uuid
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $find_run$
declare
  v_digits  text := replace(lower(find_run.run_id_prefix), '-', '');
  v_run_ids uuid[];
begin
  if v_digits ~ '^[0-9a-f]{1,32}$' then
    v_run_ids := array(
      select r.id
      from quantumflow.workflow_runs r
      where r.id between rpad(v_digits, 32, '0')::uuid and rpad(v_digits, 32, 'f')::uuid
      order by r.id
      limit 2);
  end if;

  if v_run_ids is null or v_run_ids = '{}' then
    raise exception 'no run has an id that begins with %', coalesce(left(find_run.run_id_prefix, 80), 'null')
    using
      errcode = 'QF201',
      detail = 'An id is 32 hexadecimal digits; hyphens among them do not matter.',
      hint = 'select id, workflow_slug, status from quantumflow.workflow_runs order by id desc limit 20 shows the latest.';
  end if;

  if cardinality(v_run_ids) > 1 then
    raise exception 'several runs have ids that begin with %', find_run.run_id_prefix
    using
      errcode = 'QF229',
      detail = format('Two of them are %s and %s.', v_run_ids[1], v_run_ids[2]),
      hint = 'Give more of it: ids of runs that were started in the same minute have their first eight digits in common.';
  end if;

  return v_run_ids[1];
end
$find_run$;

comment on function quantumflow.find_run(text) is
'The run whose id begins so, for people who type: with as many of its digits as no other run shares.

Errors: QF201 there is none; QF229 there are several.';
