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
